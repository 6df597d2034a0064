// The directories are the truth, the table says more of some of them: a volume that an older keg
// has made, or a container by its name, has no row and is one all the same. Nothing is removed
// while a container cannot be read, which may have it.
#include "engine/volume_table.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/directory.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sys.h"
#include "engine/events.h"
#include "engine/table.h"

using Labels = std::map<std::string, std::string>;

static std::string root_of_volumes(const Containers& containers) {
    return containers.store_root() + "/volumes";
}

static std::string time_of(const std::string& directory) {
    struct stat info{};
    if (::stat(directory.c_str(), &info) < 0) return {};
    return rfc3339(info.st_ctim.tv_sec * 1'000'000'000LL);
}

std::vector<Volume> list_volumes(const Containers& containers) {
    const std::string root = root_of_volumes(containers);
    std::vector<Volume> out;
    if (!sys::exists(root)) return out;
    std::map<std::string, Table::Row> known;
    for (Table::Row& row :
         Table(containers.store_root()).run("SELECT name, created, settings FROM volumes"))
        known[row[0]] = row;
    std::map<std::string, std::vector<std::string>> users;
    for (const Container& container : containers.list())
        for (const VolumeMount& mount : container.settings().mounts)
            if (mount.type == "volume") users[mount.source].push_back(container.id());
    for (const std::string& name : names_in(root)) {
        Volume volume{.name = name, .directory = root + "/" + name + "/_data"};
        if (const auto row = known.find(name); row != known.end())
            volume.created = row->second[1],
            volume.labels = json::read<Labels>(json::parse(row->second[2]));
        else
            volume.created = time_of(root + "/" + name);
        volume.anonymous =
            name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
        volume.users = users[name];
        out.push_back(std::move(volume));
    }
    std::ranges::sort(out, {}, &Volume::name);
    return out;
}

Volume get_volume(const Containers& containers, const std::string& name) {
    for (Volume& volume : list_volumes(containers))
        if (volume.name == name) return std::move(volume);
    throw Error("get ", name, ": no such volume");
}

std::string create_volume(const Containers& containers, std::string name, const Labels& labels) {
    if (name.empty()) name = random_id();
    (void)parse_volume(name + ":/x", "/");  // is it a name at all?
    const std::string directory = root_of_volumes(containers) + "/" + name;
    sys::make_directories(root_of_volumes(containers), 0700);
    if (sys::exists(directory)) return name;
    sys::make_directories(directory, 0700);
    if (!sys::exists(directory + "/_data")) sys::mkdir(directory + "/_data", 0755);
    Table(containers.store_root())
        .run("INSERT OR REPLACE INTO volumes(name, created, settings) VALUES(?,?,?)",
             {name, rfc3339_now(), json::dump(json::write(labels))});
    note_event(containers.store_root(), "volume", "create", name, {{"driver", "local"}});
    return name;
}

void remove_volume(const Containers& containers, const std::string& name) {
    if (!containers.damaged().empty())
        throw Error("remove ", name,
                    ": a container cannot be read, which may use it (`keg rm -f` removes it)");
    const Volume volume = get_volume(containers, name);
    if (!volume.users.empty())
        throw Error("remove ", name, ": volume is in use - [", join(volume.users, ", "), "]");
    sys::remove_tree(root_of_volumes(containers) + "/" + name);
    Table(containers.store_root()).run("DELETE FROM volumes WHERE name = ?", {name});
    note_event(containers.store_root(), "volume", "destroy", name, {{"driver", "local"}});
}

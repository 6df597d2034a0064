// The manager that asks systemd for a scope. systemd moves init into it, so there is nothing to
// enter before that: plan() writes down where it should be, make() nothing, and adopt() does it all
// when init is there and waits. Then the kernel says where init is, and the limits go into the
// files as well: systemd rounds some, and knows no words for others.
//
// Who has no rights over the machine asks the service manager of the user's session, on the user's
// bus.
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sys.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/dbus.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/systemd_unit.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"

namespace {

constexpr const char* service = "org.freedesktop.systemd1";
constexpr const char* object = "/org/freedesktop/systemd1";
constexpr const char* interface = "org.freedesktop.systemd1.Manager";
constexpr auto patience = std::chrono::seconds(30);

dbus::Connection users_bus() {
    if (const char* address = std::getenv("DBUS_SESSION_BUS_ADDRESS"); address && *address)
        return dbus::Connection::open(address);
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (!runtime || !*runtime)
        throw Error("the user's systemd cannot be found: neither DBUS_SESSION_BUS_ADDRESS nor "
                    "XDG_RUNTIME_DIR is set");
    return dbus::Connection::open(str("unix:path=", runtime, "/bus"));
}

// systemd itself, if its socket is there: one process less on the way, and one less that can be
// slow.
dbus::Connection systems_bus() {
    if (const char* address = std::getenv("DBUS_SYSTEM_BUS_ADDRESS"); address && *address)
        return dbus::Connection::open(address);
    if (sys::exists("/run/systemd/private"))
        return dbus::Connection::open("unix:path=/run/systemd/private", true);
    return dbus::Connection::open("unix:path=/run/dbus/system_bus_socket");
}

class Systemd {
public:
    explicit Systemd(bool users_own) : bus_(connect(users_own)) {}

    // The job that starts it; wait for it.
    std::string start(const std::string& unit, const Properties& properties);
    // Throws Error unless the job ends well.
    void finish(const std::string& job, const std::string& unit);
    void stop(const std::string& unit);
    void set(const std::string& unit, const Properties& properties) {
        call("SetUnitProperties", {dbus::text(unit), dbus::boolean(true), as_argument(properties)});
    }
    int version() { return parse_number<int>(number_in(property("Version"))).value_or(0); }
    std::string control_group() { return property("ControlGroup"); }

private:
    static dbus::Connection connect(bool users_own) {
        if (!sys::exists("/run/systemd/system"))
            throw Error("systemd not running on this host, cannot use systemd cgroups manager");
        return users_own ? users_bus() : systems_bus();
    }
    // "252.38-1~deb12u1" or "v252"
    static std::string number_in(const std::string& text) {
        const size_t first = text.find_first_of("0123456789");
        if (first == std::string::npos) return "";
        return text.substr(first, text.find_first_not_of("0123456789", first) - first);
    }
    static dbus::Message message(const std::string& member,
                                 const std::vector<dbus::Value>& arguments) {
        std::string signature;
        for (const dbus::Value& argument : arguments) signature += argument.signature;
        return {.path = object,
                .interface = interface,
                .member = member,
                .destination = service,
                .signature = signature,
                .body = dbus::write(arguments)};
    }
    std::vector<dbus::Value> call(const std::string& member,
                                  const std::vector<dbus::Value>& arguments) {
        return bus_.call(message(member, arguments));
    }
    std::string property(const std::string& name) {
        dbus::Message get = message("Get", {dbus::text(interface), dbus::text(name)});
        get.interface = "org.freedesktop.DBus.Properties";
        return bus_.call(get).at(0).elements().at(0).text();
    }
    // A failed unit is kept until somebody has looked at it; that is us.
    void reset_failed(const std::string& unit) {
        static_cast<void>(bus_.try_call(message("ResetFailedUnit", {dbus::text(unit)})));
    }
    void listen_to_jobs() { bus_.listen(object, interface, "JobRemoved"); }
    // What became of it: "done", "failed", "canceled", "timeout" …
    std::string wait_for(const std::string& job) {
        return bus_
            .wait_for(
                [&](const std::vector<dbus::Value>& removed) {
                    return removed.at(1).text() == job;
                },
                patience)
            .at(3)
            .text();
    }

    dbus::Connection bus_;
};

std::string Systemd::start(const std::string& unit, const Properties& properties) {
    listen_to_jobs();
    const auto start =
        message("StartTransientUnit", {dbus::text(unit), dbus::text("replace"),
                                       as_argument(properties), dbus::array("(sa(sv))", {})});
    auto job = bus_.try_call(start);
    if (!job && job.error().name == "org.freedesktop.systemd1.UnitExists") {
        reset_failed(unit);
        job = bus_.try_call(start);
    }
    if (!job) throw Error("unable to start unit ", quoted(unit), ": ", job.error().text);
    return job->at(0).text();
}

void Systemd::finish(const std::string& job, const std::string& unit) {
    const std::string result = wait_for(job);
    if (result != "done")
        throw Error("error creating systemd unit `", unit, "`: got `", result, "`");
}

void Systemd::stop(const std::string& unit) {
    listen_to_jobs();
    // One that is not there any more, because its last process ended, is what we want.
    if (const auto job =
            bus_.try_call(message("StopUnit", {dbus::text(unit), dbus::text("replace")})))
        wait_for(job->at(0).text());
    reset_failed(unit);
}

std::vector<std::string> directories_at(const std::string& path) {
    if (const auto v2 = sole_v2_mount()) return {*v2 + path};
    std::vector<std::string> found;
    for (const v1::Hierarchy& hierarchy : v1::parse_hierarchies(read_file("/proc/self/cgroup")))
        if (const auto root = hierarchy_mount(hierarchy.name)) found.push_back(*root + path);
    return found;
}

CgroupRecord plan(const CgroupRequest& request) {
    CgroupRecord record;
    record.v2 = v2::is_everything();
    record.users_own = request.is_rootless();
    const UnitPlace place = plan_unit(request, record.users_own);
    annotation_properties(request.annotations);  // must be good
    record.unit = place.unit;
    record.path = path_of(place);
    if (record.users_own) record.path = Systemd(true).control_group() + record.path;
    record.directories = directories_at(record.path);
    return record;
}

void make(CgroupRecord& record, const CgroupRequest&) { record.directories.clear(); }

// Where systemd put it. One that was killed meanwhile may still be where its creator is: that group
// is not the container's, and all that is in it would be killed with the container.
std::string path_of_process(int pid, bool v2, const std::string& unit) {
    for (const v1::Hierarchy& hierarchy :
         v1::parse_hierarchies(read_file(str("/proc/", pid, "/cgroup"))))
        // systemd writes "_" before a name that looks like a file of the kernel's.
        if (hierarchy.name == (v2 ? "unified" : "systemd") &&
            (hierarchy.own.ends_with("/" + unit) || hierarchy.own.ends_with("/_" + unit)))
            return hierarchy.own;
    throw Error("systemd did not move the process into the cgroup of ", quoted(unit));
}

// systemd moves a process in those v1 hierarchies that it uses itself; init joins the others.
void make_others(CgroupRecord& record, const CgroupRequest& request) {
    if (request.is_rootless())
        std::erase_if(record.directories,
                      [](const std::string& directory) { return !sys::exists(directory); });
    for (const std::string& directory : record.directories)
        if (const GroupPlace place = place_of_group(directory); !v2::holds(record, directory))
            v1::make_group(place.mount, place.hierarchy, place.path);
}

void adopt(CgroupRecord& record, const CgroupRequest& request, int pid) {
    context("unable to apply cgroup configuration", [&] {
        const UnitPlace place = plan_unit(request, record.users_own);
        Systemd systemd(record.users_own);
        const std::vector<Write> writes = plan_limits(record, request.resources);
        Properties properties = unit_properties(place, request.id, pid, record.v2);
        for (const Properties& more :
             {limit_properties(writes, [&] { return systemd.version(); }), birth_properties(writes),
              device_properties(request.resources.devices),
              annotation_properties(request.annotations)})
            properties.insert(properties.end(), more.begin(), more.end());
        record.unit.clear();  // if there is one of somebody else's, it shall not be stopped
        const std::string job = systemd.start(place.unit, properties);
        record.unit = place.unit;  // from here on it is ours to undo
        systemd.finish(job, place.unit);
        if (!place.is_slice()) record.path = path_of_process(pid, record.v2, place.unit);
        record.directories = directories_at(record.path);
        if (!record.v2) make_others(record, request);
        // A slice is given no process by systemd.
        else if (place.is_slice())
            write_file(record.directories[0] + "/cgroup.procs", std::to_string(pid));
        if (record.v2 && request.owner) v2::give_to(record.directories[0], *request.owner);
    });
    context("error setting cgroup config for procHooks process",
            [&] { write_limits(record, request); });
}

// All of them or none: systemd looks at each before it sets one.
void update(const CgroupRecord& record, const std::vector<Write>& writes) {
    Systemd systemd(record.users_own);
    const Properties properties = limit_properties(writes, [&] { return systemd.version(); });
    if (!properties.empty())
        context(str("unable to set unit properties of ", quoted(record.unit)),
                [&] { systemd.set(record.unit, properties); });
}

// A bus that is gone must not keep the container's cgroup and state.
void forget(const CgroupRecord& record) {
    if (!record.unit.empty())
        attempt(str("stopping the unit ", record.unit),
                [&] { Systemd(record.users_own).stop(record.unit); });
}

}  // namespace

constinit const CgroupManager systemd_manager = {.name = "systemd",
                                                 .plan = plan,
                                                 .make = make,
                                                 .adopt = adopt,
                                                 .update = update,
                                                 .forget = forget};

// What is hard here: an attribute is more than bytes. user.* is for files and directories alone. A
// capability of no known form is refused. An access list is checked, changes the permissions of its
// file, and is not kept at all if it says no more than they do; the ids of those of its entries
// that name nobody are not looked at, and read back as -1. (fs/xattr.c, fs/posix_acl.c and
// security/commoncap.c of Linux say so; a test holds this against a real file system.)
#include "image/layer/attributes.h"

#include <linux/capability.h>
#include <linux/limits.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "image/layer/rules.h"

namespace {

constexpr std::string_view access_list = "system.posix_acl_access",
                           default_list = "system.posix_acl_default";

// Little-endian, as attributes are written on every machine.
template <class Number>
Number number_at(std::string_view bytes, size_t at) {
    Number value = 0;
    for (size_t i = 0; i < sizeof(Number); ++i)
        value = Number(value | Number(uint8_t(bytes[at + i])) << 8 * i);
    return value;
}

template <class Number>
void append_number(std::string& out, Number value) {
    for (size_t i = 0; i < sizeof(Number); ++i) out += char(value >> 8 * i & 0xff);
}

enum class Verdict { keep, leave_out };

// Which attribute of which file it is.
struct Subject {
    const TarEntry& entry;
    const std::string &name, &path;

    [[noreturn]] void refuse(int code) const {
        throw SysError(code, str("set ", name, " of ", quoted(path)));
    }
    bool is_link() const { return entry.type == TarEntry::Type::symlink; }
    bool is_directory() const { return entry.type == TarEntry::Type::directory; }
    bool is_file() const { return entry.type == TarEntry::Type::file; }
};

Verdict judge_capability(const Subject& subject, std::string& value) {
    if (value.empty()) return Verdict::leave_out;  // nobody can read it back
    if (value.size() < sizeof(__le32)) subject.refuse(EINVAL);
    const auto magic = number_at<uint32_t>(value, 0);
    const uint32_t revision = magic & VFS_CAP_REVISION_MASK;
    if (value.size() == XATTR_CAPS_SZ_2 && revision == VFS_CAP_REVISION_2) return Verdict::keep;
    if (value.size() != XATTR_CAPS_SZ_3 || revision != VFS_CAP_REVISION_3) subject.refuse(EINVAL);
    std::string form;  // it is put together anew
    append_number(form, VFS_CAP_REVISION_3 | (magic & VFS_CAP_FLAGS_EFFECTIVE));
    value.replace(0, form.size(), form);
    return Verdict::keep;
}

struct AccessList {
    std::string text;   // as the kernel gives it back
    uint32_t mode = 0;  // what the list is as permissions, 0777
    bool is_more_than_mode = false;
};

// Nothing for a list without entries. The order of the entries is part of the form.
std::optional<AccessList> parse_access_list(const Subject& subject, std::string_view value) {
    constexpr size_t entry_size = sizeof(posix_acl_xattr_entry);
    if ((value.size() - sizeof(posix_acl_xattr_header)) % entry_size != 0) subject.refuse(EINVAL);
    AccessList list{std::string(value.substr(0, sizeof(posix_acl_xattr_header)))};
    uint16_t next = ACL_USER_OBJ;
    bool needs_mask = false;
    uint32_t group = 0;
    // Before it looks for sense in a list, the kernel finds that links have none.
    const auto expect = [&](bool in_place) {
        if (!in_place && !subject.is_link()) subject.refuse(EINVAL);
    };
    for (size_t at = sizeof(posix_acl_xattr_header); at < value.size(); at += entry_size) {
        const auto tag = number_at<uint16_t>(value, at),
                   rights = number_at<uint16_t>(value, at + 2);
        auto id = number_at<uint32_t>(value, at + 4);
        expect(rights <= 7);
        switch (tag) {
            case ACL_USER_OBJ:
                expect(next == ACL_USER_OBJ);
                next = ACL_USER, list.mode |= uint32_t(rights) << 6;
                break;
            case ACL_GROUP_OBJ:
                expect(next == ACL_USER);
                next = ACL_GROUP, group = rights;
                break;
            case ACL_USER:
            case ACL_GROUP:
                if (id == uint32_t(ACL_UNDEFINED_ID)) subject.refuse(EINVAL);
                expect(next == tag);
                needs_mask = true;
                break;
            case ACL_MASK:
                expect(next == ACL_GROUP);
                next = ACL_OTHER, group = rights, list.is_more_than_mode = true;
                break;
            case ACL_OTHER:
                expect(next == ACL_OTHER || (next == ACL_GROUP && !needs_mask));
                next = 0, list.mode |= rights;
                break;
            default: subject.refuse(EINVAL);
        }
        if (tag != ACL_USER && tag != ACL_GROUP) id = uint32_t(ACL_UNDEFINED_ID);
        append_number(list.text, tag), append_number(list.text, rights);
        append_number(list.text, id);
    }
    if (value.size() == sizeof(posix_acl_xattr_header)) return {};
    expect(next == 0);
    list.mode |= group << 3;
    return list;
}

Verdict judge_access_list(const Subject& subject, std::string& value, uint32_t& permissions) {
    if (value.empty()) return Verdict::leave_out;
    if (value.size() < sizeof(posix_acl_xattr_header)) subject.refuse(EINVAL);
    if (number_at<uint32_t>(value, 0) != POSIX_ACL_XATTR_VERSION) return Verdict::leave_out;
    const std::optional<AccessList> list = parse_access_list(subject, value);
    if (!list || subject.is_link()) return Verdict::leave_out;
    value = list->text;
    if (subject.name == default_list) {
        if (!subject.is_directory()) subject.refuse(EACCES);
        return Verdict::keep;
    }
    permissions = (permissions & ~0777u) | list->mode;
    return list->is_more_than_mode ? Verdict::keep : Verdict::leave_out;
}

Verdict judge(const Subject& subject, std::string& value, uint32_t& permissions) {
    const std::string_view name = subject.name;
    if (name.empty() || name.size() > XATTR_NAME_MAX) subject.refuse(ERANGE);
    if (value.size() > XATTR_SIZE_MAX) subject.refuse(E2BIG);
    if (name == access_list || name == default_list)
        return judge_access_list(subject, value, permissions);
    const bool is_of_users = name.starts_with("user.");
    if (is_of_users && !subject.is_file() && !subject.is_directory()) return Verdict::leave_out;
    if (!is_of_users && !name.starts_with("trusted.") && !name.starts_with("security."))
        return Verdict::leave_out;
    if (name.find('.') == name.size() - 1) subject.refuse(EINVAL);
    if (name == "security.capability") return judge_capability(subject, value);
    return Verdict::keep;
}

}  // namespace

Attributes attributes_of(const TarEntry& entry, const std::string& path) {
    Attributes all{.permissions = entry.type == TarEntry::Type::symlink ? 0777 : entry.mode};
    for (const auto& [name, said] : entry.xattrs) {
        if (is_foreign_xattr(name)) continue;
        std::string value = said;
        if (judge({entry, name, path}, value, all.permissions) == Verdict::keep)
            all.kept.emplace_back(name, std::move(value));
    }
    return all;
}

// What is hard: a file may change without its size or its modification time telling of it; the
// change time tells, but only as finely as the kernel's clock ticks. So nothing is kept of a file
// that changed within the last second. And the file that this is kept in may be torn by a power
// cut: its digest stands at its end.
#include "builder/steps/file_digests.h"

#include <time.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

namespace {

constexpr size_t digest_length = 71;  // of "sha256:…"
constexpr int64_t second = 1'000'000'000;

int64_t nanoseconds(const timespec& time) { return time.tv_sec * second + time.tv_nsec; }

}  // namespace

FileDigests::FileDigests(std::string path) : path_(std::move(path)) {
    const auto text = read_file_if_exists(path_, SIZE_MAX);
    if (!text || text->size() < digest_length) return;
    const size_t size = text->size() - digest_length;
    const std::string_view body = std::string_view(*text).substr(0, size);
    if (size % sizeof(Record) != 0 || digest_of(body).text() != text->substr(size)) return;
    records_.reserve(size / sizeof(Record));
    for (size_t at = 0; at < size; at += sizeof(Record)) {
        Record record;
        std::memcpy(&record, &body[at], sizeof record);
        records_.emplace(record.inode, record);
    }
}

FileDigests::Sha256 FileDigests::bytes_of(const Digest& sha256) {
    Sha256 out{};
    const std::string hex = sha256.hex();
    const auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
    for (size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<unsigned char>(value(hex[2 * i]) << 4 | value(hex[2 * i + 1]));
    return out;
}

FileDigests::Record FileDigests::looks_of(const struct stat& info) {
    return {.device = info.st_dev,
            .inode = info.st_ino,
            .changed = nanoseconds(info.st_ctim),
            .modified = nanoseconds(info.st_mtim),
            .size = uint64_t(info.st_size),
            .mode = info.st_mode,
            .digest = {}};
}

std::optional<FileDigests::Sha256> FileDigests::find(const struct stat& info) const {
    const Record wanted = looks_of(info);
    const std::lock_guard one_thread(mutex_);
    const auto found = records_.find(wanted.inode);
    if (found == records_.end() ||
        std::memcmp(&wanted, &found->second, offsetof(Record, digest)) != 0)
        return {};
    return found->second.digest;
}

void FileDigests::add(const struct stat& info, const Sha256& digest) {
    Record record = looks_of(info);
    record.digest = digest;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (record.changed > nanoseconds(now) - second) return;
    const std::lock_guard one_thread(mutex_);
    records_[record.inode] = record;
    changed_ = true;
}

void FileDigests::save() const {
    const std::lock_guard one_thread(mutex_);
    if (!changed_) return;
    std::string text;
    text.reserve(records_.size() * sizeof(Record) + digest_length);
    for (const auto& [inode, record] : records_)
        text.append(reinterpret_cast<const char*>(&record), sizeof record);
    text += digest_of(text).text();
    sys::make_directories(path_.substr(0, path_.rfind('/')), 0700);
    replace_file(path_, text, 0600, Durability::rename_only);
}

// What is hard: a tar says nowhere whether it is a layer or an archive of images. It is the second
// if one of the files is there that say what the others are; they may be its last, so all headers
// are read to know.
#include "image/validate/validate.h"

#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/sys.h"
#include "image/files.h"
#include "image/layer/decoder.h"
#include "image/layer/rules.h"
#include "image/validate/documents.h"
#include "image/validate/images.h"
#include "image/validate/layer.h"

namespace {

constexpr std::string_view of_archives[] = {"manifest.json", "index.json", "oci-layout"};

// What comes before it is damaged, and why the rest does not come.
std::string spool_what_comes(const ByteSource& bytes, int to) {
    try {
        spool(bytes, to);
        return {};
    } catch (const SysError&) {
        throw;
    } catch (const Error& e) {
        check(::lseek(to, 0, SEEK_SET), "lseek");
        return e.what();
    }
}

// A document at the top of a layout, or nothing with a finding.
std::optional<std::string> top_document(const Files& files, const std::string& name,
                                        Findings& findings) {
    const auto file = files.find(name);
    if (!file) {
        findings.add("missing-file", name, "", "is not there");
        return {};
    }
    if (file->kind != Files::File::Kind::regular) {
        findings.add("irregular-blob", name, "", "is no regular file");
        return {};
    }
    if (size_t(file->size) > most_document) {
        findings.add("too-large", name, "",
                     str("has ", file->size, " bytes, and a document has at most ", most_document));
        return {};
    }
    return read_text(files, name);
}

void judge_layout(const Files& files, Images& images, Findings& findings) {
    if (const auto text = top_document(files, "oci-layout", findings))
        judge_layout_file(*text, "oci-layout", findings);
    if (const auto text = top_document(files, "index.json", findings))
        images.add_index(*text, "index.json");
}

}  // namespace

std::optional<ValidationKind> kind_of_directory(const std::string& path) {
    if (sys::exists(path + "/oci-layout") || sys::exists(path + "/index.json"))
        return ValidationKind::layout;
    if (sys::exists(path + "/config.json")) return ValidationKind::bundle;
    return {};
}

std::optional<ValidationKind> kind_of_file(int fd) {
    const off_t begin = check(::lseek(fd, 0, SEEK_CUR), "lseek");
    std::optional<ValidationKind> kind;
    try {
        const auto plain = make_decoder(bytes_of(fd));
        TarStream tar([&] { return plain->read(); });
        bool is_archive = false, any = false;
        while (const TarEntry* entry = is_archive ? nullptr : tar.next()) {
            any = true;
            // From here on it is a tar, whatever follows.
            kind = ValidationKind::layer;
            is_archive =
                std::ranges::find(of_archives, clean_path(entry->name)) != std::end(of_archives);
        }
        if (is_archive) kind = ValidationKind::archive;
        if (!any && tar.position() > 0) kind = ValidationKind::layer;  // an empty one
    } catch (const SysError&) {
        throw;
    } catch (const Error&) {  // which the judge will tell
    }
    check(::lseek(fd, begin, SEEK_SET), "lseek");
    return kind;
}

UniqueFd copy_of(int fd) {
    UniqueFd copy = nameless_file();
    spool(bytes_of(fd), copy.get());
    return copy;
}

void validate_layout(const std::string& directory, Findings& findings) {
    const DirectoryFiles files(directory);
    Images images(files, findings);
    judge_layout(files, images, findings);
    if (!files.find("blobs")) findings.add("missing-file", "blobs", "", "is not there");
    images.judge_layers();
    images.judge_rest();
}

void validate_archive(int fd, const std::string& shown, Findings& findings) {
    UniqueFd plain;
    if (!compression_in(fd).empty()) {
        plain = nameless_file();
        const auto decoder = make_decoder(bytes_of(fd));
        const std::string wrong = spool_what_comes([&] { return decoder->read(); }, plain.get());
        if (!wrong.empty()) findings.add("corrupt-stream", shown, "", wrong);
    }
    const TarFiles files(plain ? plain.get() : fd, [&](const std::string& problem) {
        findings.add("invalid-archive", shown, "", problem);
    });
    Images images(files, findings);
    const bool has_items = files.find("manifest.json").has_value();
    // Without oci-layout an index.json beside manifest.json is nobody's.
    if (!has_items || files.find("oci-layout")) judge_layout(files, images, findings);
    if (has_items)
        if (const auto text = top_document(files, "manifest.json", findings))
            images.add_items(*text, "manifest.json");
    images.judge_layers();
    images.judge_rest();
}

void validate_image(const Store& store, const NamedImage& image, Findings& findings) {
    const DirectoryFiles files(store.root());
    Images images(files, findings);
    images.add({.place = "", .descriptor = image.descriptor}, image.shown());
    images.judge_layers();
}

void validate_layer(int fd, const std::string& shown, Findings& findings) {
    LayerStack stack{.tree = FileTree(), .complete = false};
    judge_layer(bytes_of(fd), {.document = shown, .tag = "0"}, stack, findings);
}

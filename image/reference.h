// Image names: "alpine" -> docker.io/library/alpine:latest (the grammar of distribution/reference).
#pragma once

#include <string>
#include <string_view>

struct Reference {
    std::string domain;  // "docker.io", "localhost:5000"
    std::string path;    // "library/alpine"
    std::string tag;     // "latest"; "" if only a digest was given
    std::string digest;  // "sha256:…" or ""

    std::string repository() const { return domain + "/" + path; }
    std::string canonical() const;            // docker.io/library/alpine:latest[@sha256:…]
    std::string familiar_repository() const;  // "alpine", "localhost:5000/app"
    std::string familiar() const;             // "alpine:latest"
    auto operator<=>(const Reference&) const = default;
};

// Throws Error in Docker's words: `invalid reference format: repository name (library/App) must be
// lowercase`. A name without a tag and digest gets the tag "latest".
Reference parse_reference(std::string_view text);
// Whether more was typed than a repository, which a registry's port belongs to.
bool has_tag_or_digest(std::string_view word);
// Whether `word`, as typed, is that name (with its tag or by its digest), rather than an image's
// ID.
bool is_name(std::string_view word, const Reference& name);

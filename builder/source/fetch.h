// Files that a build reads from a web server: `ADD https://…`, and contexts that are one.
// Dockerfile reference, "Adding files from a URL".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "image/digest.h"

struct FetchedFile {
    std::string path;  // on this host; mode 0600, with the server's time of it, if it says one
    std::string name;  // the last part of the URL's path; "" if it has none
    Digest digest;     // of its bytes: the key of what is made of it
    int64_t size = 0;
    std::optional<int64_t> modified = {};  // Last-Modified, in seconds
};

struct FetchLimits {
    int64_t most_bytes = int64_t(16) << 30;
    std::chrono::seconds most_time = std::chrono::hours(2);
};

// Does it begin as an http or https URL does?
bool is_web_url(std::string_view source);
// The last part of a URL's path, without its escapes; "" if that is no file's name.
std::string file_name_in(std::string_view url);

// Throws Error for what is no checksum of a file: "sha256:HEX".
void check_file_checksum(const std::string& typed);

// Fetches it into `directory`, which is the caller's. Redirects are followed, but none from https
// to http. `checksum`: "sha256:HEX", or "" if nobody knows. Throws Error for a status that is no
// success, for what is too large or takes too long, and, in BuildKit's words, for another digest.
FetchedFile fetch_file(const std::string& url, const std::string& directory,
                       const std::string& checksum = {}, const FetchLimits& limits = {});

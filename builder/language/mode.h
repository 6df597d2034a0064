// The value of --chmod: octal as "0755", or symbolic as "u=rwX,go=rX" (chmod(1) of BSD, which is
// what the Dockerfile reference refers to).
#pragma once

#include <optional>
#include <string_view>
#include <vector>

class FileMode {
public:
    // Throws Error "invalid chmod parameter: …".
    explicit FileMode(std::string_view text);

    // The mode, without the bits of the file's type, of something that had `mode`.
    unsigned apply(unsigned mode, bool is_directory) const;

    // The mode that everything gets, if it was octal: so directories that are made get it too.
    std::optional<unsigned> absolute() const { return absolute_; }

private:
    friend class ModeParser;
    struct Change {
        enum { clear, set, set_if_executable, copy } what{};
        unsigned bits = 0;                  // of `copy`: those that may change
        unsigned from = 0;                  // of `copy`: the shift of the class that is copied
        bool clears = false, sets = false;  // of `copy`
    };
    std::optional<unsigned> absolute_;
    std::vector<Change> changes_;  // in this order
};

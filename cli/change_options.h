// What the commands that make an image of another have in common: who says what of the change.
#pragma once

#include "base/command_line.h"
#include "image/derive.h"

// For a table of options.
inline constexpr Option
    author_option = {"author,a", "TEXT", "who made the image; else as it was before"},
    message_option = {"message,m", "TEXT", "the comment in its history"},
    created_by_option = {"created-by", "TEXT", "what the history says of how it was made"},
    new_tag_option = {"tag,t", "NAME[:TAG]",
                      "name of the new image; else that of the old one, which stays nameless"};

// What is to be changed, and the name that the new image will have.
struct ToChange {
    Image image;
    std::optional<Reference> name;
};
ToChange find_to_change(const Store& store, const std::string& typed, const Arguments& args);

ChangeWords read_change_words(const Arguments& args, const std::string& command);
// Shows the new image's ID.
void show_made(const Image& image);

// What the commands that make an image of another have in common: who says what of the change.
#pragma once

#include "base/command_line.h"
#include "image/derive.h"

// For a table of options.
inline constexpr Option author_option = {"author,a", "TEXT",
                                         "who made the image; else as it was before"},
                        message_option = {"message,m", "TEXT", "the comment in its history"},
                        created_by_option = {"created-by", "TEXT",
                                             "what the history says of how it was made"};

ChangeWords read_change_words(const Arguments& args, const std::string& command);
// Shows the new image's ID.
void show_made(const Image& image);

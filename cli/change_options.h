// What the commands that make an image of another have in common: who says what of the change.
#pragma once

#include <functional>

#include "base/command_line.h"
#include "image/derive.h"

// For a table of options.
inline constexpr Option
    author_option = {"author,a", "TEXT", "who made the image; else as it was before"},
    message_option = {"message,m", "TEXT", "the comment in its history"},
    created_by_option = {"created-by", "TEXT", "what the history says of how it was made"},
    new_tag_option = {"tag,t", "NAME[:TAG]",
                      "name of the new image; else that of the old one, which stays nameless"};

// `command` is what made it, if the user does not say otherwise.
ChangeWords read_change_words(const Arguments& args, const std::string& command);
// Shows the new image's ID.
void show_made(const Image& image);

// What there is to do for a command whose first word is the image: finds that, gives it to
// `remake`, publishes what it has become, and shows it. What is wrong with that is said of
// `source`, if it has a name.
using Remake = std::function<void(const Store& store, Image& image)>;
void remake_image(const Arguments& globals, const Arguments& args, const Remake& remake,
                  const std::string& source = {});
// The same for a change that `command` has made, which gets the entry for the image's history.
using Change = std::function<void(const Store& store, Image& image, spec::History entry)>;
void change_image(const Arguments& globals, const Arguments& args, const std::string& command,
                  const Change& change, const std::string& source = {});

// A path that a person typed, made whole. The standard library does the same, but says of what it
// cannot do only its own words ("filesystem error: cannot make absolute path").
#pragma once

#include <string>

// Absolute, without "." and "..", doubled and trailing slashes; links are not looked at. Throws
// Error for "" and SysError if it is relative and there is no current directory.
std::string absolute_path(const std::string& typed);

// One line of CSV, as Go's encoding/csv reads it: what Docker's options with several fields are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

// At least one. Throws Error for quotes that do not fit, and for more than one line.
std::vector<std::string> csv_fields(std::string_view line);

// "WARNING! This will remove WHAT": what a user says to it. Only "y" and "yes" are a yes.
#pragma once

#include <string>

bool is_confirmed(const std::string& what);

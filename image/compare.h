// Two trees of unpacked layers held against each other.
#pragma once

#include <string>

// The first file in which the two host directories differ, and how, or "". What counts is what a
// layer says: kinds, modes, owners, contents, link targets, device numbers, attributes. Not counted
// are times, sockets and the form in which something below is hidden.
std::string first_difference(const std::string& is, const std::string& should_be);

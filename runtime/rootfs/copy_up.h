// What tmpcopyup does: a new tmpfs begins with what the directory held that it covers.
#pragma once

// Both are directories; nobody else sees `to` yet. Owners and modes are kept. Throws Error for a
// file of the kernel's (procfs …) and SysError for what cannot be read or made.
void copy_up(int from, int to);

// Who is who: containers by their IDs, processes by more than a number that may be another's
// tomorrow, stores by the hash of their path.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

std::string random_id();  // 64 hex digits

// Is that process still the one it was?
bool is_alive(pid_t pid, uint64_t started);
// In clock ticks since the boot (proc_pid_stat(5)); 0 if there is none, or if it has ended.
uint64_t start_time(pid_t pid);

std::string boot_id();  // of this boot of the machine

// Where runtime state and networks of that store are kept until the next boot: /run/keg-stores/HASH
// (/run/keg is where keg-runtime by itself keeps containers).
std::string volatile_directory(const std::string& store_root);
// It goes with the store's last container, or with its network if that is later.
void remove_volatile_directory(const std::string& store_root);
// The same for who holds the lock of the containers' names.
void remove_volatile_directory_locked(const std::string& store_root);
std::string store_hash(const std::string& store_root);  // 8 hex digits

// The store's table, ROOT/containers/engine.db: what is a table in keg (networks, volumes, events)
// is kept in SQLite, where a change and what else belongs to it are one transaction. Documents stay
// files.
//
// What is hard: many short processes use it at once, none of which may be held up by one that was
// stopped (^Z) or killed. So it is in WAL mode, readers wait for nobody, a writer waits some
// seconds at most, and nobody checkpoints because he was the last to leave.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

struct sqlite3;

// There is no room on the disk.
struct TableIsFull : Error {
    using Error::Error;
};

class Table {
public:
    // Makes it if it is not there.
    explicit Table(const std::string& store_root);
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;
    ~Table();

    using Cell = std::variant<int64_t, std::string>;
    using Row = std::vector<std::string>;  // its columns as text
    // One statement with its arguments; gives its rows. Throws Error with SQLite's words.
    std::vector<Row> run(const char* statement, const std::vector<Cell>& arguments = {}) const;
    // All of what `body` runs, or nothing of it.
    void in_one(const std::function<void()>& body) const;
    int64_t last_row() const;

private:
    sqlite3* database_ = nullptr;
};

// Where it is, for who watches it for changes.
std::string table_file(const std::string& store_root);

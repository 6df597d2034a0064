// Every version of keg that has a change to make to the table's form makes it under the writer's
// lock, having looked again, so that of two new ones one does.
#include "engine/table.h"

#include <fcntl.h>
#include <sqlite3.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"

// Changes are added at the end, and never edited: PRAGMA user_version says how many were made.
static constexpr const char* changes[] = {
    "CREATE TABLE networks(name TEXT PRIMARY KEY, id TEXT NOT NULL, created TEXT NOT NULL, "
    "settings TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE volumes(name TEXT PRIMARY KEY, created TEXT NOT NULL, settings TEXT NOT NULL) "
    "WITHOUT ROWID",
    "CREATE TABLE events(number INTEGER PRIMARY KEY, time INTEGER NOT NULL, type TEXT NOT NULL, "
    "action TEXT NOT NULL, actor TEXT NOT NULL, attributes TEXT NOT NULL)",
    "CREATE INDEX events_by_time ON events(time)",
};

static constexpr int patience = 10'000;  // milliseconds for another writer

std::string table_file(const std::string& store_root) {
    return store_root + "/containers/engine.db";
}

static void check_sqlite(int code, sqlite3* database) {
    if (code == SQLITE_OK) return;
    const std::string words = str("engine.db: ", ::sqlite3_errmsg(database));
    // What it maps, it cannot lengthen on a full disk.
    const int cause = ::sqlite3_extended_errcode(database);
    if (cause == SQLITE_FULL || cause == SQLITE_IOERR_SHMSIZE || cause == SQLITE_IOERR_WRITE)
        throw TableIsFull(words);
    throw Error(words);
}

Table::Table(const std::string& store_root) {
    const std::string file = table_file(store_root);
    sys::make_directories(store_root + "/containers", 0700);
    sys::open(file, O_RDONLY | O_CREAT, 0600);  // SQLite gives its other files the same mode
    Defer close([&] { ::sqlite3_close(database_); });
    check_sqlite(::sqlite3_open_v2(file.c_str(), &database_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                   nullptr),
                 database_);
    ::sqlite3_busy_timeout(database_, patience);
    ::sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    const int64_t made = parse_number<int64_t>(run("PRAGMA user_version")[0][0]).value_or(0);
    if (made < int64_t(std::size(changes))) {
        run("PRAGMA journal_mode=WAL");
        in_one([&] {
            const int64_t now = parse_number<int64_t>(run("PRAGMA user_version")[0][0]).value_or(0);
            for (size_t i = size_t(now); i < std::size(changes); ++i) run(changes[i]);
            run(str("PRAGMA user_version=", std::size(changes)).c_str());
        });
    }
    run("PRAGMA synchronous=NORMAL");
    close.keep();
}

Table::~Table() { ::sqlite3_close(database_); }

std::vector<Table::Row> Table::run(const char* text, const std::vector<Cell>& arguments) const {
    sqlite3_stmt* statement = nullptr;
    check_sqlite(::sqlite3_prepare_v2(database_, text, -1, &statement, nullptr), database_);
    const Defer finish([&] { ::sqlite3_finalize(statement); });
    for (int i = 0; i < int(arguments.size()); ++i) {
        const Cell& cell = arguments[size_t(i)];
        if (const auto* number = std::get_if<int64_t>(&cell))
            check_sqlite(::sqlite3_bind_int64(statement, i + 1, *number), database_);
        else
            check_sqlite(::sqlite3_bind_text(statement, i + 1, std::get<std::string>(cell).data(),
                                             int(std::get<std::string>(cell).size()),
                                             SQLITE_TRANSIENT),
                         database_);
    }
    std::vector<Row> rows;
    for (int code; (code = ::sqlite3_step(statement)) != SQLITE_DONE;) {
        if (code != SQLITE_ROW) check_sqlite(code, database_);
        Row& row = rows.emplace_back();
        for (int i = 0; i < ::sqlite3_column_count(statement); ++i) {
            const auto* cell = reinterpret_cast<const char*>(::sqlite3_column_text(statement, i));
            row.emplace_back(cell ? cell : "", size_t(::sqlite3_column_bytes(statement, i)));
        }
    }
    return rows;
}

void Table::in_one(const std::function<void()>& body) const {
    run("BEGIN IMMEDIATE");
    Defer undo([&] { ::sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr); });
    body();
    run("COMMIT");
    undo.keep();
}

int64_t Table::last_row() const { return ::sqlite3_last_insert_rowid(database_); }

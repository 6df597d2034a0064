// The log of events is a table that is read by its numbers: who follows asks for what came after
// the last one he has, whenever the table's files change. It is kept short by whoever adds.
#include "engine/events.h"

#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "engine/table.h"

static constexpr int64_t most_events = 10'000;

static int64_t now_in_nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

static void add_event(const std::string& store_root, const Event& event) {
    const Table table(store_root);
    table.in_one([&] {
        table.run("INSERT INTO events(time, type, action, actor, attributes) VALUES(?,?,?,?,?)",
                  {event.time, event.type, event.action, event.actor,
                   json::dump(json::write(event.attributes))});
        const int64_t number = table.last_row();
        if (number % 256 == 0)
            table.run("DELETE FROM events WHERE number <= ?", {number - most_events});
    });
}

// A full disk has been told by then, or will be, by those who need room.
void note_event(const std::string& store_root, const std::string& type, const std::string& action,
                const std::string& actor, std::map<std::string, std::string> attributes) noexcept
    try {
    add_event(store_root, {.time = now_in_nanoseconds(),
                           .type = type,
                           .action = action,
                           .actor = actor,
                           .attributes = std::move(attributes)});
} catch (const TableIsFull& e) {
    log_debug(str("noting an event: ", e.what()));
} catch (const std::exception& e) {
    log_warning(str("noting an event: ", e.what()));
}

void note_event(const Containers& containers, const Container& container, const std::string& action,
                std::map<std::string, std::string> more) noexcept {
    std::map<std::string, std::string> attributes = container.settings().labels;
    attributes.merge(more);
    attributes["name"] = container.settings().name,
    attributes["image"] = container.settings().image;
    note_event(containers.store_root(), "container", action, container.id(), std::move(attributes));
}

static Event event_of(const Table::Row& row) {
    return {.number = parse_number<int64_t>(row[0]).value_or(0),
            .time = parse_number<int64_t>(row[1]).value_or(0),
            .type = row[2],
            .action = row[3],
            .actor = row[4],
            .attributes = json::read<std::map<std::string, std::string>>(json::parse(row[5]))};
}

// Until the table changes, `until` comes, or a second has passed: not each file system tells.
static void wait_for_change(int watch, int64_t until) {
    int64_t milliseconds = 1000;
    if (until)
        milliseconds =
            std::clamp<int64_t>((until - now_in_nanoseconds()) / 1'000'000 + 1, 0, milliseconds);
    pollfd changed{watch, POLLIN, 0};
    ::poll(&changed, 1, int(milliseconds));
    alignas(inotify_event) char buffer[4096];
    while (::read(watch, buffer, sizeof buffer) > 0) {
    }
}

void watch_events(const std::string& store_root, const EventQuery& query,
                  const std::function<bool(const Event&)>& tell) {
    const Table table(store_root);
    const UniqueFd watch(check(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify"));
    ::inotify_add_watch(watch.get(), (table_file(store_root) + "-wal").c_str(), IN_MODIFY);
    int64_t last = 0;
    if (!query.past)
        last = parse_number<int64_t>(table.run("SELECT coalesce(max(number), 0) FROM events")[0][0])
                   .value_or(0);
    for (;;) {
        // Asked before reading: what happened until then is in the table.
        const bool over = query.until && now_in_nanoseconds() >= query.until;
        for (const Table::Row& row :
             table.run("SELECT number, time, type, action, actor, attributes FROM events WHERE "
                       "number > ? AND time >= ? ORDER BY number",
                       {last, query.since})) {
            const Event event = event_of(row);
            last = event.number;
            if (query.until && event.time > query.until) return;
            if (!tell(event)) return;
        }
        if (over) return;
        wait_for_change(watch.get(), query.until);
    }
}

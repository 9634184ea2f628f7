// From method and path to a handler. A pattern is made of segments: text, ":name" (one segment), "*name" (the rest,
// slashes included; last only). Text goes before ":name", and that before "*name". HEAD is answered by GET's handler;
// OPTIONS, 404, 405 with Allow, and 501 by the router itself.
#ifndef ALOS_HTTP_ROUTER_HPP
#define ALOS_HTTP_ROUTER_HPP

#include <alos/http/middleware.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <initializer_list>
#include <source_location>

namespace alos::inline v0 {

// How a route takes the bodies of its requests.
struct route_options {
    bool streamed = false;                        // the handler reads the body itself, by request::read_some()
    std::optional<std::uint64_t> body_limit = {}; // instead of the server's
};

// server.post("/upload", alos::streamed, handler)
inline constexpr route_options streamed{.streamed = true};

namespace http {

// A compiled route.
struct endpoint {
    chain run;
    route_options options;
    std::vector<std::string> names; // of its parameters, in the order of the path
};

namespace detail {

using method_set = std::uint64_t; // a bit for each verb

constexpr method_set bit(verb method) noexcept { return method_set{1} << static_cast<unsigned>(method); }

inline constexpr method_set all_methods = ~method_set{0};
inline constexpr std::size_t most_parameters = 16;

// A route as it was written down.
struct route_entry {
    method_set methods;
    std::string pattern;
    handler answers;
    route_options options;
    std::size_t group;
    std::source_location place;
};

// Routes with a prefix and middleware in common.
struct group_entry {
    std::size_t parent;
    std::string prefix;
    std::vector<middleware> around;
};

struct route_table {
    std::deque<group_entry> groups;
    std::deque<route_entry> routes;
};

inline std::string to_text(const std::source_location& place)
{
    std::string_view file = place.file_name();
    file.remove_prefix(file.rfind('/') == std::string_view::npos ? 0 : file.rfind('/') + 1);
    return std::string(file) + ":" + std::to_string(place.line());
}

// The value of Allow. RFC 9110 10.2.1.
inline std::string to_text(method_set methods)
{
    std::string text;
    for (unsigned i = 1; i < 64; ++i) {
        if ((methods >> i & 1) == 0 || i > static_cast<unsigned>(verb::unlink))
            continue;
        text.append(text.empty() ? "" : ", ").append(boost::beast::http::to_string(static_cast<verb>(i)));
    }
    return text;
}

}

}

// Routes that share a prefix and middleware; may be copied, and lives as long as its router. Patterns of a group are
// put behind its prefix. Everything here is for set-up: router::build() makes it work, and says what is wrong with it.
class route_group {
public:
    // Runs `each` around all routes of this group, those included that were added before; first used, outermost.
    route_group& use(http::middleware each)
    {
        table_->groups[index_].around.push_back(std::move(each));
        return *this;
    }

    // A group within this one.
    [[nodiscard]] route_group group(std::string_view prefix)
    {
        table_->groups.push_back({index_, std::string(prefix), {}});
        return {*table_, table_->groups.size() - 1};
    }

    using place = std::source_location; // where a route is written, for messages

    route_group& get(std::string_view pattern, http::handler answers, route_options options = {},
                     place where = place::current())
    {
        return any({verb::get}, pattern, std::move(answers), options, where);
    }
    route_group& post(std::string_view pattern, http::handler answers, route_options options = {},
                      place where = place::current())
    {
        return any({verb::post}, pattern, std::move(answers), options, where);
    }
    route_group& put(std::string_view pattern, http::handler answers, route_options options = {},
                     place where = place::current())
    {
        return any({verb::put}, pattern, std::move(answers), options, where);
    }
    route_group& patch(std::string_view pattern, http::handler answers, route_options options = {},
                       place where = place::current())
    {
        return any({verb::patch}, pattern, std::move(answers), options, where);
    }
    route_group& del(std::string_view pattern, http::handler answers, route_options options = {},
                     place where = place::current())
    {
        return any({verb::delete_}, pattern, std::move(answers), options, where);
    }
    route_group& head(std::string_view pattern, http::handler answers, route_options options = {},
                      place where = place::current())
    {
        return any({verb::head}, pattern, std::move(answers), options, where);
    }
    route_group& options(std::string_view pattern, http::handler answers, route_options options = {},
                         place where = place::current())
    {
        return any({verb::options}, pattern, std::move(answers), options, where);
    }

    // For several methods.
    route_group& any(std::initializer_list<verb> methods, std::string_view pattern, http::handler answers,
                     route_options options = {}, place where = place::current())
    {
        http::detail::method_set set = 0;
        for (const verb each : methods)
            set |= http::detail::bit(each);
        return add(set, pattern, std::move(answers), options, where);
    }

    // For every method, unknown ones included, for which the path has no route of its own.
    route_group& any(std::string_view pattern, http::handler answers, route_options options = {},
                     place where = place::current())
    {
        return add(http::detail::all_methods, pattern, std::move(answers), options, where);
    }

protected:
    route_group(http::detail::route_table& table, std::size_t index) noexcept : table_(&table), index_(index) {}

private:
    route_group& add(http::detail::method_set methods, std::string_view pattern, http::handler answers,
                     route_options options, place where)
    {
        table_->routes.push_back({methods, std::string(pattern), std::move(answers), options, index_, where});
        return *this;
    }

    http::detail::route_table* table_;
    std::size_t index_;
};

// All routes; itself the group without a prefix, whose middleware also runs around 404, 405 and the like.
class router : public route_group {
public:
    router() : route_group(table_, 0) { table_.groups.push_back({0, {}, {}}); }
    router(const router&) = delete;
    router& operator=(const router&) = delete;

    // Answers where no route does; the status is 404 unless it sets another.
    router& not_found(http::handler answers)
    {
        not_found_handler_ = std::move(answers);
        return *this;
    }

    // Compiles the routes. Fails with a sentence that names the routes at fault, and where they are written.
    [[nodiscard]] outcome<> build();

    // What answers `asked`; puts its parameters in place. Always something, for 404 and the like are endpoints too.
    // Allocates nothing. After build() only.
    [[nodiscard]] const http::endpoint& find(http::request_data& asked) const;

    [[nodiscard]] const http::endpoint& find(request& asked) const { return find(http::access::data(asked)); }

private:
    using method_set = http::detail::method_set;

    static constexpr std::size_t none = ~std::size_t{0};

    struct answer {
        method_set methods;
        const http::endpoint* run;
        const http::detail::route_entry* written;
    };

    // A segment of a path, and what may follow it.
    struct node {
        std::vector<std::pair<std::string, std::size_t>> texts; // sorted
        std::size_t parameter = none;
        std::size_t rest = none;
        std::vector<answer> answers; // those for every method last
    };

    // A search on its way through the nodes.
    struct search {
        std::string_view path;
        method_set method;
        method_set allowed = 0; // what is there for other methods
        std::array<std::string_view, http::detail::most_parameters> values = {};
        std::size_t count = 0;
    };

    [[nodiscard]] outcome<> insert(const http::detail::route_entry& route);
    [[nodiscard]] std::size_t child(std::size_t parent, std::string_view text);
    [[nodiscard]] std::size_t child(std::size_t node::*kind, std::size_t parent);
    [[nodiscard]] std::string pattern_of(const http::detail::route_entry& route) const;
    [[nodiscard]] http::chain chain_of(const http::handler& answers, std::size_t group) const;
    [[nodiscard]] const http::endpoint* special(http::handler answers, std::vector<http::middleware> within = {});

    [[nodiscard]] const http::endpoint* find(std::size_t at, std::size_t slash, search& state) const noexcept;
    [[nodiscard]] const http::endpoint* answer_of(const node& at, search& state) const noexcept;

    http::detail::route_table table_;
    http::handler not_found_handler_{[](request&, response& res) { http::respond_with_status(res, 404); }};

    std::vector<node> nodes_;
    std::deque<http::endpoint> endpoints_;
    method_set all_allowed_ = 0;
    const http::endpoint* not_found_ = nullptr;
    const http::endpoint* not_allowed_ = nullptr;
    const http::endpoint* not_implemented_ = nullptr;
    const http::endpoint* options_ = nullptr;
};

inline outcome<> router::build()
{
    nodes_.assign(1, {});
    endpoints_.clear();
    all_allowed_ = http::detail::bit(verb::options);
    for (const http::detail::route_entry& route : table_.routes) {
        if (outcome<> inserted = insert(route); !inserted)
            return inserted;
    }
    // RFC 9110 9.3.2: HEAD is GET without the content.
    for (node& each : nodes_) {
        const auto has = [](verb method) {
            return [method](const answer& one) {
                return one.methods != http::detail::all_methods && (one.methods & http::detail::bit(method)) != 0;
            };
        };
        const auto get = std::ranges::find_if(each.answers, has(verb::get));
        if (get != each.answers.end() && std::ranges::none_of(each.answers, has(verb::head)))
            get->methods |= http::detail::bit(verb::head);
        for (const answer& one : each.answers)
            all_allowed_ |= one.methods;
    }
    const auto allow = [](request& req, response& res, unsigned status) {
        res.status(status).set("Allow", http::detail::to_text(http::access::data(req).allowed));
    };
    struct set_404 {
        bool before(request&, response& res) const
        {
            res.status(404);
            return true;
        }
    };
    not_found_ = special(not_found_handler_, {set_404{}});
    // RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
    not_allowed_ = special([allow](request& req, response& res) {
        allow(req, res, 405);
        http::respond_with_status(res, 405);
    });
    options_ = special([allow](request& req, response& res) { allow(req, res, 204); });
    not_implemented_ = special([](request&, response& res) { http::respond_with_status(res, 501); });
    return outcome<>();
}

inline std::string router::pattern_of(const http::detail::route_entry& route) const
{
    std::string pattern = route.pattern;
    for (std::size_t group = route.group; group != 0; group = table_.groups[group].parent)
        pattern.insert(0, table_.groups[group].prefix);
    return pattern;
}

inline http::chain router::chain_of(const http::handler& answers, std::size_t group) const
{
    std::vector<http::middleware> around;
    while (true) {
        const http::detail::group_entry& each = table_.groups[group];
        around.insert(around.begin(), each.around.begin(), each.around.end());
        if (group == 0)
            return {answers, std::move(around)};
        group = each.parent;
    }
}

// An endpoint that the router needs itself; `within` runs inside of everybody's middleware.
inline const http::endpoint* router::special(http::handler answers, std::vector<http::middleware> within)
{
    within.insert(within.begin(), table_.groups[0].around.begin(), table_.groups[0].around.end());
    return &endpoints_.emplace_back(http::endpoint{{std::move(answers), std::move(within)}, {}, {}});
}

inline outcome<> router::insert(const http::detail::route_entry& route)
{
    const std::string pattern = pattern_of(route);
    const auto describe = [this](const http::detail::route_entry& each) {
        const std::string methods =
            each.methods == http::detail::all_methods ? "any" : http::detail::to_text(each.methods);
        return methods + " " + pattern_of(each) + " (" + http::detail::to_text(each.place) + ")";
    };
    const auto refuse = [&](const std::string& why) {
        return outcome<>(failure{make_error_code(errc::bad_configuration), "route " + describe(route) + " " + why});
    };
    if (!pattern.starts_with('/'))
        return refuse("does not begin with a slash");

    http::endpoint compiled{chain_of(route.answers, route.group), route.options, {}};
    std::size_t at = 0;
    for (std::size_t slash = 0; slash < pattern.size();) {
        const std::size_t end = std::min(pattern.find('/', slash + 1), pattern.size());
        const std::string_view segment = std::string_view(pattern).substr(slash + 1, end - slash - 1);
        slash = end;
        if (!segment.starts_with(':') && !segment.starts_with('*')) {
            at = child(at, segment);
            continue;
        }
        const std::string name(segment.substr(1));
        if (name.empty())
            return refuse("has a parameter without a name");
        if (segment.front() == '*' && end != pattern.size())
            return refuse("goes on behind *" + name);
        if (std::ranges::find(compiled.names, name) != compiled.names.end())
            return refuse("has two parameters that are called " + name);
        if (compiled.names.size() == http::detail::most_parameters)
            return refuse("has too many parameters");
        compiled.names.push_back(name);
        at = child(segment.front() == ':' ? &node::parameter : &node::rest, at);
    }

    std::vector<answer>& answers = nodes_[at].answers;
    const bool is_any = route.methods == http::detail::all_methods;
    for (const answer& other : answers) {
        const bool other_is_any = other.methods == http::detail::all_methods;
        if (is_any == other_is_any && (other.methods & route.methods) != 0)
            return refuse("conflicts with " + describe(*other.written));
    }
    endpoints_.push_back(std::move(compiled));
    answers.insert(is_any ? answers.end() : answers.begin(), {route.methods, &endpoints_.back(), &route});
    return outcome<>();
}

inline std::size_t router::child(std::size_t parent, std::string_view text)
{
    auto& texts = nodes_[parent].texts;
    const auto place = std::ranges::lower_bound(texts, text, {}, &std::pair<std::string, std::size_t>::first);
    if (place != texts.end() && place->first == text)
        return place->second;
    const std::size_t made = nodes_.size();
    texts.insert(place, {std::string(text), made});
    nodes_.emplace_back();
    return made;
}

inline std::size_t router::child(std::size_t node::*kind, std::size_t parent)
{
    if (nodes_[parent].*kind == none) {
        nodes_[parent].*kind = nodes_.size();
        nodes_.emplace_back();
    }
    return nodes_[parent].*kind;
}

inline const http::endpoint& router::find(http::request_data& asked) const
{
    search state{.path = asked.parts.path, .method = http::detail::bit(asked.method)};
    const http::endpoint* found = nullptr;
    if (state.path.starts_with('/'))
        found = find(0, 0, state);
    if (found != nullptr) {
        for (std::size_t i = 0; i < found->names.size(); ++i)
            asked.parameters.push_back({found->names[i], state.values[i]});
        return *found;
    }
    // RFC 9110 9.3.7: "*" asks about the server as a whole.
    asked.allowed = state.path == "*" ? all_allowed_ : state.allowed;
    // RFC 9110 9.1: 501 for a method that is not known at all, 405 for one that this path does not have.
    if (asked.method == verb::unknown || asked.method == verb::connect)
        return *not_implemented_;
    if (asked.allowed == 0)
        return *not_found_;
    asked.allowed |= http::detail::bit(verb::options);
    return asked.method == verb::options ? *options_ : *not_allowed_;
}

// `slash` is where the next segment begins. Every node is reached by one path only, so that no set of routes makes
// this slow.
inline const http::endpoint* router::find(std::size_t at, std::size_t slash, search& state) const noexcept
{
    const node& here = nodes_[at];
    if (slash == state.path.size())
        return answer_of(here, state);
    const std::size_t end = std::min(state.path.find('/', slash + 1), state.path.size());
    const std::string_view segment = state.path.substr(slash + 1, end - slash - 1);

    const auto text_of = [](const auto& each) { return std::string_view(each.first); };
    const auto text = std::ranges::lower_bound(here.texts, segment, {}, text_of);
    if (text != here.texts.end() && text->first == segment) {
        if (const http::endpoint* found = find(text->second, end, state))
            return found;
    }
    if (here.parameter != none && !segment.empty()) {
        state.values[state.count++] = segment;
        if (const http::endpoint* found = find(here.parameter, end, state))
            return found;
        --state.count;
    }
    if (here.rest == none)
        return nullptr;
    state.values[state.count] = state.path.substr(slash + 1);
    return answer_of(nodes_[here.rest], state);
}

inline const http::endpoint* router::answer_of(const node& at, search& state) const noexcept
{
    for (const answer& each : at.answers) {
        if ((each.methods & state.method) != 0)
            return each.run;
        state.allowed |= each.methods;
    }
    return nullptr;
}

}

#endif

// A body_io in memory: gives a request's body in pieces, keeps what a handler writes, and fails when told to.
#ifndef ALOS_TESTS_MEMORY_IO_HPP
#define ALOS_TESTS_MEMORY_IO_HPP

#include <alos/http/response.hpp>

#include <deque>
#include <string>
#include <vector>

namespace test {

class memory_io final : public alos::http::body_io {
public:
    explicit memory_io(alos::response& res) : answer_(alos::http::access::data(res)) { answer_.io = this; }
    ~memory_io() { answer_.io = nullptr; }

    std::deque<std::string> input;
    std::vector<std::string> written;
    std::size_t fails_at = ~std::size_t{0}; // the write with this number

    alos::awaitable<std::string_view> read_some() override
    {
        if (input.empty())
            co_return std::string_view{};
        current_ = std::move(input.front());
        input.pop_front();
        co_return current_;
    }

    alos::awaitable<> write(std::string_view piece) override
    {
        if (written.size() == fails_at)
            throw boost::system::system_error(make_error_code(alos::errc::closed));
        answer_.head_sent = true;
        written.emplace_back(piece);
        co_return;
    }

    [[nodiscard]] std::string all() const
    {
        std::string text;
        for (const std::string& each : written)
            text += each;
        return text;
    }

private:
    alos::http::response_data& answer_;
    std::string current_;
};

}

#endif

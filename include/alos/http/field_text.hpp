// Fields to send, kept as the text in which HTTP/1.1 sends them. RFC 9110 5.
#ifndef ALOS_HTTP_FIELD_TEXT_HPP
#define ALOS_HTTP_FIELD_TEXT_HPP

#include <alos/http/fields.hpp>

#include <functional>
#include <stdexcept>
#include <string>

namespace alos::inline v0::http {

class field_text {
public:
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

    // All lines, each with its CRLF.
    [[nodiscard]] std::string_view text() const noexcept { return text_; }

    [[nodiscard]] field operator[](std::size_t index) const noexcept
    {
        const entry& each = entries_[index];
        const std::string_view line = std::string_view(text_).substr(each.start);
        return {line.substr(0, each.name_size), line.substr(each.name_size + 2, each.value_size)};
    }

    // The value of the first field of that name.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept
    {
        for (std::size_t i = 0; i < size(); ++i) {
            const field each = (*this)[i];
            if (equal_ignoring_case(each.name, name))
                return each.value;
        }
        return std::nullopt;
    }

    // Throws std::invalid_argument if this would be more, or less, than one field: nothing that a handler passes on can
    // break the message (RFC 9110 5.5).
    void append(std::string_view name, std::string_view value)
    {
        if (!is_token(name))
            throw std::invalid_argument("alos: not a field name");
        if (!is_field_value(value))
            throw std::invalid_argument("alos: control character in a field value");
        value = trim(value);
        if (is_own(name) || is_own(value))
            return append(std::string(name), std::string(value));
        entries_.push_back({static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(name.size()),
                            static_cast<std::uint32_t>(value.size())});
        text_.append(name).append(": ").append(value).append("\r\n");
    }

    // Instead of all fields of that name.
    void set(std::string_view name, std::string_view value)
    {
        append(name, value);
        for (std::size_t i = size() - 1; i-- > 0;) {
            if (equal_ignoring_case((*this)[i].name, (*this)[size() - 1].name))
                erase(i);
        }
    }

    // `name` is not a view of a field here.
    void remove(std::string_view name) noexcept
    {
        for (std::size_t i = size(); i-- > 0;) {
            if (equal_ignoring_case((*this)[i].name, name))
                erase(i);
        }
    }

    void clear() noexcept
    {
        text_.clear();
        entries_.clear();
    }

private:
    struct entry {
        std::uint32_t start;
        std::uint32_t name_size;
        std::uint32_t value_size;
    };

    // Whether `text` is what was given out here, and moves when something is added.
    [[nodiscard]] bool is_own(std::string_view text) const noexcept
    {
        const std::less<const char*> before;
        return !before(text.data(), text_.data()) && before(text.data(), text_.data() + text_.size());
    }

    void erase(std::size_t index) noexcept
    {
        const std::uint32_t line = entries_[index].name_size + 2 + entries_[index].value_size + 2;
        text_.erase(entries_[index].start, line);
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
        for (; index < size(); ++index)
            entries_[index].start -= line;
    }

    std::string text_;
    std::vector<entry> entries_;
};

}

#endif

#include <alos/http/h1_parser.hpp>

#include <doctest/doctest.h>

#include "support/h1_feed.hpp"

#include <fstream>

using alos::http::errc;
using alos::http::h1_event;
using alos::http::h1_limits;
using test::feed_in_pieces;
using test::h1_feed;

namespace {

const std::string get_head = "GET / HTTP/1.1\r\nHost: a\r\n";
const std::string chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

void refuses(const std::string& input, errc expected, h1_limits limits = {})
{
    CAPTURE(input.substr(0, 200));
    feed_in_pieces(input, limits, [&](h1_feed& feed) {
        CHECK(feed.error == expected);
        CHECK_FALSE(feed.complete);
        // Wrong once, wrong for ever.
        CHECK(feed.parser.feed({}).event == h1_event::error);
    });
}

// The connection would go on behind the message, and nothing of what follows was taken.
void accepts(const std::string& input, std::string_view body = {})
{
    CAPTURE(input.substr(0, 200));
    feed_in_pieces(input + "GET /next", [&](h1_feed& feed) {
        CHECK(feed.error == errc{});
        CHECK(feed.complete);
        CHECK(feed.parser.done());
        CHECK(feed.body == body);
        CHECK(feed.consumed == input.size());
    });
}

}

TEST_CASE("h1: a request is method, target, version, fields and body (RFC 9112 2.1)")
{
    const std::string input =
        "POST /a/b?c=d HTTP/1.1\r\nHost: example.com:8443\r\nContent-Length: 5\r\nX-Y:  z \t\r\n\r\nhello";
    accepts(input, "hello");
    feed_in_pieces(input, [&](h1_feed& feed) {
        CHECK(feed.request.method() == alos::verb::post);
        CHECK(feed.request.method_text() == "POST");
        CHECK(feed.request.target() == "/a/b?c=d");
        CHECK(feed.request.path() == "/a/b");
        CHECK(feed.request.query() == "c=d");
        CHECK(feed.request.host() == "example.com:8443");
        CHECK(feed.request.version() == 11);
        CHECK(feed.request.keep_alive());
        CHECK(feed.request.content_length() == 5);
        CHECK(feed.request.header("x-y") == "z");
        CHECK(feed.request.headers().size() == 3);
    });
}

TEST_CASE("h1: what follows a message stays unread: pipelining (RFC 9112 9.3.2)")
{
    accepts(get_head + "\r\n");
    accepts(get_head + "Content-Length: 0\r\n\r\n");
    accepts(chunked + "3\r\nabc\r\n0\r\n\r\n", "abc");
}

TEST_CASE("h1: a parser is used for one message after the other")
{
    h1_feed feed;
    for (int i = 0; i < 3; ++i) {
        feed.data().clear();
        feed.parser.start(feed.data(), feed.limits);
        feed.complete = false;
        feed.body.clear();
        CHECK_FALSE(feed.parser.started());
        feed.feed(chunked + "1\r\n" + std::to_string(i) + "\r\n0\r\nX: y\r\n\r\n", 5);
        CHECK(feed.complete);
        CHECK(feed.body == std::to_string(i));
        CHECK(feed.request.trailers().size() == 1);
    }
}

TEST_CASE("h1: whether a message has begun is known")
{
    h1_feed feed;
    CHECK_FALSE(feed.parser.started());
    feed.feed("G", 1);
    CHECK(feed.parser.started());
}

// --- The request line -------------------------------------------------------------------------------------

TEST_CASE("h1: the request line is method SP target SP version (RFC 9112 3)")
{
    refuses("GET /\r\nHost: a\r\n\r\n", errc::bad_request_line); // HTTP/0.9
    refuses("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_request_line);
    refuses("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_request_line);
    refuses(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_request_line);
    refuses("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_request_line);
    refuses("(GET) / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_request_line);
    refuses("HTTP/1.1 200 OK\r\nHost: a\r\n\r\n", errc::bad_request_line);
    refuses("\x16\x03\x01\x02", errc::bad_request_line); // a ClientHello
    refuses(std::string("\0", 1), errc::bad_request_line);
}

TEST_CASE("h1: a method is any token (RFC 9110 9.1)")
{
    feed_in_pieces("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", [](h1_feed& feed) {
        CHECK(feed.complete);
        CHECK(feed.request.method() == alos::verb::unknown);
        CHECK(feed.request.method_text() == "BREW");
    });
    feed_in_pieces("get / HTTP/1.1\r\nHost: a\r\n\r\n", [](h1_feed& feed) {
        CHECK(feed.request.method() == alos::verb::unknown); // case-sensitive
    });
}

TEST_CASE("h1: the version is HTTP/1.0 or HTTP/1.1 (RFC 9112 2.3)")
{
    refuses("GET / HTTP/1\r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("GET / HTTP/1.\r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("GET / HTTP/1.10\r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("GET / HTTP/01.1\r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("GET / http/1.1\r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("GET / HTTX/1.1\r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("GET / HTTP/1,1\r\nHost: a\r\n\r\n", errc::bad_version);
    refuses("GET / \r\nHost: a\r\n\r\n", errc::bad_version);
    for (const char* version : {"0.9", "2.0", "3.0", "9.9"})
        refuses(std::string("GET / HTTP/") + version + "\r\nHost: a\r\n\r\n", errc::unsupported_version);
    CHECK(status_of(errc::unsupported_version) == 505);
}

TEST_CASE("h1: a higher minor version is processed as 1.1 (RFC 9110 2.5)")
{
    feed_in_pieces("GET / HTTP/1.9\r\nHost: a\r\n\r\n", [](h1_feed& feed) {
        CHECK(feed.complete);
        CHECK(feed.request.version() == 11);
    });
}

TEST_CASE("h1: one empty line before a request is ignored (RFC 9112 2.2)")
{
    accepts("\r\n" + get_head + "\r\n");
    refuses("\r\n\r\n" + get_head + "\r\n", errc::bad_request_line);
    refuses("\n" + get_head + "\r\n", errc::bad_request_line);
}

TEST_CASE("h1: white space before the first field is refused (RFC 9112 2.2)")
{
    refuses("GET / HTTP/1.1\r\n Host: a\r\n\r\n", errc::obsolete_folding);
    refuses("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", errc::obsolete_folding);
}

TEST_CASE("h1: the four forms of a target, each where it may be (RFC 9112 3.2)")
{
    accepts("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    accepts("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    refuses("GET * HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET index.html HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("CONNECT example.com HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
}

TEST_CASE("h1: absolute-form is accepted, and its authority goes before Host (RFC 9112 3.2.2)")
{
    feed_in_pieces("GET HTTPS://b.example:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n", [](h1_feed& feed) {
        CHECK(feed.complete);
        CHECK(feed.request.host() == "b.example:1");
        CHECK(feed.request.path() == "/x");
        CHECK(feed.request.query() == "y");
        CHECK(feed.request.header("host") == "a");
    });
    feed_in_pieces("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n",
                   [](h1_feed& feed) { CHECK(feed.request.path() == "/"); });
}

TEST_CASE("h1: a target holds no control characters, no spaces, no fragment (RFC 9112 3.2)")
{
    refuses("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses(std::string("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", 31), errc::bad_target);
    refuses("GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    accepts("GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST_CASE("h1: an encoded slash or NUL in a path is refused, as is what is no escape")
{
    refuses("GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET /a% HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
    refuses("GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_target);
}

// --- Fields -----------------------------------------------------------------------------------------------

TEST_CASE("h1: no white space between field name and colon (RFC 9112 5.1)")
{
    refuses(get_head + "X : y\r\n\r\n", errc::bad_field_name);
    refuses(get_head + "Content-Length : 5\r\n\r\nhello", errc::bad_field_name);
    refuses(get_head + "Transfer-Encoding\t: chunked\r\n\r\n", errc::bad_field_name);
}

TEST_CASE("h1: a field name is a token (RFC 9110 5.1)")
{
    refuses(get_head + ": y\r\n\r\n", errc::bad_field_name);
    refuses(get_head + "X\r\n\r\n", errc::bad_field_name);
    refuses(get_head + "X(: y\r\n\r\n", errc::bad_field_name);
    refuses(get_head + "X\xc3\xbc: y\r\n\r\n", errc::bad_field_name);
    refuses(get_head + "X\x01: y\r\n\r\n", errc::bad_field_name);
    refuses(get_head + std::string("X\0: y\r\n\r\n", 9), errc::bad_field_name);
    refuses(get_head + "\"X\": y\r\n\r\n", errc::bad_field_name);
}

TEST_CASE("h1: a field value holds no control character (RFC 9110 5.5)")
{
    refuses(get_head + std::string("X: a\0b\r\n\r\n", 10), errc::bad_field_value);
    refuses(get_head + "X: a\x01\r\n\r\n", errc::bad_field_value);
    refuses(get_head + "X: a\x7f\r\n\r\n", errc::bad_field_value);
    refuses(get_head + "X: \x0b\r\n\r\n", errc::bad_field_value);
    accepts(get_head + "X: a\tb\r\n\r\n");
    accepts(get_head + "X: \xc3\xbc\r\n\r\n");
    accepts(get_head + "X:\r\n\r\n");
}

TEST_CASE("h1: folded lines are refused (RFC 9112 5.2)")
{
    refuses(get_head + "X: a\r\n b\r\n\r\n", errc::obsolete_folding);
    refuses(get_head + "X: a\r\n\tb\r\n\r\n", errc::obsolete_folding);
    refuses(get_head + "Transfer-Encoding:\r\n chunked\r\n\r\n", errc::bad_transfer_encoding);
    refuses(get_head + "X: a\r\n \r\n\r\n", errc::obsolete_folding);
}

TEST_CASE("h1: lines end in CRLF and nothing else (RFC 9112 2.2)")
{
    refuses("GET / HTTP/1.1\nHost: a\n\n", errc::bad_line_ending);
    refuses("GET / HTTP/1.1\r\nHost: a\n\r\n", errc::bad_line_ending);
    refuses(get_head + "X: y\r\n\n", errc::bad_line_ending);
    refuses(get_head + "X: y\n\r\n\r\n", errc::bad_line_ending);
    refuses(get_head + "X: a\rY: b\r\n\r\n", errc::bad_line_ending);
    refuses(get_head + "X: a\r\r\n\r\n", errc::bad_line_ending);
    refuses(get_head + "\r \r\n\r\n", errc::bad_field_name);
}

TEST_CASE("h1: Host is there once and is an authority (RFC 9112 3.2)")
{
    refuses("GET / HTTP/1.1\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", errc::bad_host);
    refuses("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", errc::bad_host);
    accepts("GET / HTTP/1.0\r\n\r\n");
    accepts("GET / HTTP/1.1\r\nHost:\r\n\r\n");
    accepts("GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n");
    accepts("GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n");
    accepts("GET / HTTP/1.1\r\nHost: xn--bcher-kva.example.:443\r\n\r\n");
}

// --- Framing ----------------------------------------------------------------------------------------------

TEST_CASE("h1: Content-Length with Transfer-Encoding is refused (RFC 9112 6.1)")
{
    refuses(get_head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errc::both_framings);
    refuses(get_head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", errc::both_framings);
}

TEST_CASE("h1: Content-Length is one number (RFC 9112 6.3)")
{
    for (const char* value :
         {"", "a", "-1", "+1", "1 2", "1,1", "3, 3", "0x10", "1.0", "18446744073709551616", "\"1\"", "1;"})
        refuses(get_head + "Content-Length: " + value + "\r\n\r\n", errc::bad_content_length);
    refuses(get_head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", errc::bad_content_length);
    refuses(get_head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", errc::bad_content_length);
    accepts(get_head + "Content-Length: 003\r\n\r\nabc", "abc");
}

TEST_CASE("h1: Transfer-Encoding is chunked and nothing else (RFC 9112 6.1)")
{
    for (const char* value : {"", "xchunked", "chunkedx", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked",
                              "identity", "chunked;q=1", "\"chunked\"", "chun ked", ", chunked", "chunked,"})
        refuses(get_head + "Transfer-Encoding: " + value + "\r\n\r\n0\r\n\r\n", errc::bad_transfer_encoding);
    refuses(get_head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", errc::bad_transfer_encoding);
    refuses(get_head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            errc::bad_transfer_encoding);
    accepts(get_head + "transfer-encoding: Chunked \r\n\r\n0\r\n\r\n");
}

TEST_CASE("h1: chunked is refused in HTTP/1.0 (RFC 9112 6.1)")
{
    refuses("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errc::bad_transfer_encoding);
}

TEST_CASE("h1: a request without framing fields has no body (RFC 9112 6.3)")
{
    accepts("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    accepts("POST / HTTP/1.0\r\n\r\n");
}

TEST_CASE("h1: chunks are joined (RFC 9112 7.1)")
{
    accepts(chunked + "0\r\n\r\n");
    accepts(chunked + "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", "hello world");
    accepts(chunked + "a\r\n0123456789\r\n0A\r\n0123456789\r\n00\r\n\r\n", "01234567890123456789");
    accepts(chunked + "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n");
}

TEST_CASE("h1: chunk extensions are ignored, and limited (RFC 9112 7.1.1)")
{
    accepts(chunked + "3;a=b;c;d=\"e f\"\r\nabc\r\n0;x\r\n\r\n", "abc");
    refuses(chunked + "3;" + std::string(300, 'a') + "\r\nabc\r\n0\r\n\r\n", errc::bad_chunk);
    refuses(chunked + "3;a=\x01\r\nabc\r\n0\r\n\r\n", errc::bad_chunk);
    refuses(chunked + "3 ;a\r\nabc\r\n0\r\n\r\n", errc::bad_chunk);
    refuses(chunked + "3;\r\nabc\r\n0\r\n\r\n", errc::bad_chunk);
    refuses(chunked + "3;a\rb\r\nabc\r\n0\r\n\r\n", errc::bad_chunk);
    std::string many = chunked;
    for (int i = 0; i < 30; ++i)
        many += "1;" + std::string(200, 'a') + "\r\nx\r\n";
    refuses(many + "0\r\n\r\n", errc::bad_chunk);
}

TEST_CASE("h1: a malformed chunk is refused (RFC 9112 7.1)")
{
    for (const char* line : {"", "g", "-1", "+1", "0x1", " 1", "1 ", "1\t", "1_", "ffffffffffffffff",
                             "10000000000000000", "100000000000000000000000000000000", "0000000000000000000001"})
        refuses(chunked + line + "\r\nx\r\n0\r\n\r\n", errc::bad_chunk);
    refuses(chunked + "1\r\nxy\r\n0\r\n\r\n", errc::bad_chunk);
    refuses(chunked + "1\r\nx0\r\n\r\n", errc::bad_chunk);
    refuses(chunked + "1\r\nx\n0\r\n\r\n", errc::bad_chunk);
    refuses(chunked + "1\nx\r\n0\r\n\r\n", errc::bad_line_ending);
    refuses(chunked + "1\r\nx\r\n0\n\r\n", errc::bad_line_ending);
    refuses(chunked + "0\r\n\n", errc::bad_line_ending);
    refuses(chunked + std::string(300, '0'), errc::bad_chunk);
}

TEST_CASE("h1: trailers are kept apart from the header (RFC 9110 6.5)")
{
    feed_in_pieces(chunked + "1\r\nx\r\n0\r\nX-Sum: 7\r\nHash: abc\r\n\r\n", [](h1_feed& feed) {
        CHECK(feed.complete);
        CHECK(feed.request.trailers().find("x-sum") == "7");
        CHECK(feed.request.trailers().size() == 2);
        CHECK_FALSE(feed.request.header("x-sum"));
        CHECK(feed.request.headers().size() == 2);
        CHECK(feed.request.header("host") == "a"); // its view still holds
    });
}

TEST_CASE("h1: fields about framing and routing may not be trailers (RFC 9110 6.5.1)")
{
    for (const char* name :
         {"Content-Length", "Transfer-Encoding", "Host", "Connection", "Trailer", "TE", "Upgrade", "Expect"})
        refuses(chunked + "0\r\n" + name + ": 1\r\n\r\n", errc::bad_trailer);
}

TEST_CASE("h1: trailers are held to the grammar of fields (RFC 9112 7.1.2)")
{
    refuses(chunked + "0\r\nX : y\r\n\r\n", errc::bad_field_name);
    refuses(chunked + "0\r\nX: y\r\n z\r\n\r\n", errc::obsolete_folding);
    refuses(chunked + "0\r\nX: y\n\r\n", errc::bad_line_ending);
    refuses(chunked + std::string("0\r\nX: \0\r\n\r\n", 11), errc::bad_field_value);
}

// --- Limits -----------------------------------------------------------------------------------------------

TEST_CASE("h1: a header has at most 16 KiB (RFC 6585 5)")
{
    const std::string start = get_head + "X: ";
    accepts(start + std::string(16 * 1024 - start.size() - 4, 'x') + "\r\n\r\n");
    refuses(start + std::string(16 * 1024 - start.size() - 3, 'x') + "\r\n\r\n", errc::header_too_large);
    refuses(start + std::string(40 * 1024, 'x'), errc::header_too_large);
    CHECK(status_of(errc::header_too_large) == 431);
}

TEST_CASE("h1: a header may be limited to less than a target")
{
    h1_limits limits;
    limits.header = get_head.size() + 10;
    refuses(get_head + "X: abcdefghij\r\n\r\n", errc::header_too_large, limits);
}

TEST_CASE("h1: a header has at most 100 fields (RFC 6585 5)")
{
    std::string fields;
    for (int i = 0; i < 99; ++i)
        fields += "X: y\r\n";
    accepts(get_head + fields + "\r\n");
    refuses(get_head + fields + "X: y\r\n\r\n", errc::header_too_large);
}

TEST_CASE("h1: a target has at most 8 KiB (RFC 9110 15.5.15)")
{
    const auto with_target = [](std::size_t size) {
        return "GET /" + std::string(size - 1, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
    };
    accepts(with_target(8 * 1024));
    refuses(with_target(8 * 1024 + 1), errc::target_too_long);
    refuses(with_target(15 * 1024), errc::target_too_long);
    refuses(with_target(20 * 1024), errc::target_too_long);
    refuses("GET /" + std::string(9 * 1024, 'x'), errc::target_too_long); // already without its end
    CHECK(status_of(errc::target_too_long) == 414);
}

TEST_CASE("h1: a body has at most 4 MiB, or what the route says (RFC 9110 15.5.14)")
{
    refuses(get_head + "Content-Length: 4194305\r\n\r\n", errc::body_too_large);
    refuses(chunked + "400001\r\n", errc::body_too_large);
    h1_limits small;
    small.body = 4;
    refuses(get_head + "Content-Length: 5\r\n\r\nhello", errc::body_too_large, small);
    refuses(chunked + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", errc::body_too_large, small);
    CHECK(status_of(errc::body_too_large) == 413);

    h1_feed feed;
    feed.feed(get_head + "Content-Length: 5\r\n\r\n", 1000);
    CHECK(feed.has_header); // the route decides first
    CHECK_FALSE(feed.over());

    h1_feed other;
    const std::string head = get_head + "Content-Length: 5\r\n\r\n";
    CHECK(other.parser.feed(alos::as_bytes(head)).event == h1_event::header);
    other.parser.body_limit(4);
    CHECK(other.parser.feed({}).event == h1_event::error); // before a "100 Continue" would go out
}

TEST_CASE("h1: trailers have a limit, too")
{
    refuses(chunked + "0\r\nX: " + std::string(9 * 1024, 'x') + "\r\n\r\n", errc::header_too_large);
    std::string many;
    for (int i = 0; i < 101; ++i)
        many += "X: y\r\n";
    refuses(chunked + "0\r\n" + many + "\r\n", errc::header_too_large);
}

// --- Connection and expectations --------------------------------------------------------------------------

TEST_CASE("h1: who keeps the connection (RFC 9112 9.3)")
{
    const auto keeps = [](const std::string& input) {
        h1_feed feed(input, 1000);
        REQUIRE(feed.complete);
        return feed.request.keep_alive();
    };
    CHECK(keeps(get_head + "\r\n"));
    CHECK_FALSE(keeps(get_head + "Connection: close\r\n\r\n"));
    CHECK_FALSE(keeps(get_head + "Connection: x, Close\r\n\r\n"));
    CHECK_FALSE(keeps(get_head + "Connection: keep-alive, close\r\n\r\n"));
    CHECK_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
    CHECK(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST_CASE("h1: Expect: 100-continue is noticed, other expectations are refused (RFC 9110 10.1.1)")
{
    feed_in_pieces(get_head + "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx", [](h1_feed& feed) {
        CHECK(feed.complete);
        CHECK(feed.data().expects_continue);
    });
    refuses(get_head + "Expect: 200-ok\r\n\r\n", errc::bad_expectation);
    refuses(get_head + "Expect:\r\n\r\n", errc::bad_expectation);
    CHECK(status_of(errc::bad_expectation) == 417);
    feed_in_pieces("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", [](h1_feed& feed) {
        CHECK(feed.complete);
        CHECK_FALSE(feed.data().expects_continue); // an HTTP/1.0 client does not know it
    });
}

TEST_CASE("h1: a malformed Connection list is refused")
{
    refuses(get_head + "Connection: a b\r\n\r\n", errc::bad_field_value);
}

TEST_CASE("h1: every split in two gives the same message")
{
    const std::string input = "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n";
    for (std::size_t split = 0; split <= input.size(); ++split) {
        CAPTURE(split);
        h1_feed feed;
        feed.feed(std::string_view(input).substr(0, split), input.size());
        feed.feed(std::string_view(input).substr(split), input.size());
        CHECK(feed.complete);
        CHECK(feed.body == "abcde");
        CHECK(feed.request.trailers().find("X") == "y");
    }
}

// Fetches a URL with http::client, as the manager of certificates does, and says what came or why nothing did.
//   fetch <URL> <PEM file of authorities>
// Exit status 0 for an answer, whose body is printed; 1 for a failure: its code's category and sentence on two lines.
#include <alos/http/client.hpp>
#include <alos/os/posix_files.hpp>

#include <boost/asio/io_context.hpp>

#include <iostream>

int main(int argc, char** argv)
{
    if (argc != 3) {
        std::cerr << "usage: fetch URL FILE\n";
        return 2;
    }
    const auto pem = alos::os::posix_files().read(argv[2], alos::max_pem_size);
    if (!pem) {
        std::cerr << argv[2] << ": " << pem.error().message() << "\n";
        return 2;
    }
    boost::asio::io_context context(1);
    alos::http::client client(context.get_executor());
    alos::http::outbound_request request;
    request.url = argv[1];
    request.timeout = std::chrono::seconds(10);
    request.authorities =
        std::make_shared<const alos::http::trust>(alos::http::trust{std::string(alos::as_text(*pem)), false});
    int status = 2;
    boost::asio::co_spawn(context, client.fetch(std::move(request)),
                          [&](std::exception_ptr thrown, const alos::outcome<alos::http::outbound_response>& answer) {
                              if (thrown)
                                  std::rethrow_exception(thrown);
                              status = answer ? 0 : 1;
                              if (answer)
                                  std::cout << answer->body;
                              else
                                  std::cout << answer.error().code.category().name() << " "
                                            << answer.error().code.message() << "\n" << answer.error().what << "\n";
                          });
    context.run();
    return status;
}

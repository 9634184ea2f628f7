// A signature that is made elsewhere (RFC 8446 4.4.3), on its way back to the executor of its connection.
#ifndef ALOS_TLS13_DETAIL_PENDING_SIGNATURE_HPP
#define ALOS_TLS13_DETAIL_PENDING_SIGNATURE_HPP

#include <alos/bytes.hpp>
#include <alos/error.hpp>
#include <alos/tls13/alert.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <new>
#include <utility>

namespace alos::inline v0::tls13::detail {

// Completes `Handler`, void(result<byte_vector>), once and on `Executor` only: a signer that forgets the request has
// failed it. May be used and destroyed on any thread, while the executor lives.
template <class Handler, class Executor>
class pending_signature {
public:
    pending_signature(Handler handler, const Executor& executor) : handler_(std::move(handler)), work_(executor) {}

    pending_signature(const pending_signature&) = delete;
    pending_signature& operator=(const pending_signature&) = delete;

    ~pending_signature()
    {
        if (done_)
            return;
        try {
            complete(make_error_code(errc::signature_failed));
        } catch (const std::bad_alloc&) { // the connection's deadline ends it
        }
    }

    void complete(result<byte_vector> signature)
    {
        done_ = true;
        boost::asio::post(work_.get_executor(),
                          [handler = std::move(handler_), signature = std::move(signature)]() mutable {
                              std::move(handler)(std::move(signature));
                          });
    }

private:
    Handler handler_;
    boost::asio::executor_work_guard<Executor> work_;
    bool done_ = false;
};

}

#endif

#include "consumer.hpp"

void answer(alos::server& app)
{
    app.router.get("/", [](alos::request&, alos::response& res) { res.string("linked"); });
}

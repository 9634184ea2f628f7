// A program that uses alos in two translation units: a symbol defined twice, or a missing flag, shows.
#ifdef CONSUMER_SINGLE_HEADER
#define ALOS_IMPLEMENTATION
#endif
#include "consumer.hpp"

#include <cstdio>

int main()
{
    alos::server app;
    answer(app);
    std::puts(app.connections() == 0 ? "linked" : "strange");
}

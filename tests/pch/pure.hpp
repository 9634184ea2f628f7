// Precompiled for the tests of the pure half: what all of them include, and nothing of alos.
#ifndef ALOS_TESTS_PCH_PURE_HPP
#define ALOS_TESTS_PCH_PURE_HPP

#include <doctest/doctest.h>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

#include <botan/aead.h>
#include <botan/hash.h>
#include <botan/kdf.h>
#include <botan/mac.h>
#include <botan/pk_keys.h>
#include <botan/pubkey.h>
#include <botan/x509cert.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#endif

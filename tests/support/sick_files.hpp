// Files of which some cannot be read, or folders listed, for a while: the disk is sick or full, or the permissions are
// wrong.
#ifndef ALOS_TESTS_SICK_FILES_HPP
#define ALOS_TESTS_SICK_FILES_HPP

#include <alos/os/file_system.hpp>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace test {

// `well` outlives it.
class sick_files final : public alos::os::file_system {
public:
    explicit sick_files(alos::os::file_system& well) : well_(well) {}

    std::string sick; // what begins with that; empty: nothing does
    int error = EIO;
    bool is_full = false; // files can be made, and nothing can be written to them

    alos::result<alos::secret_text> read(const std::string& path, std::size_t most) override
    {
        if (is_sick(path))
            return why();
        return well_.read(path, most);
    }
    alos::result<std::vector<std::string>> list(const std::string& path) override
    {
        if (is_sick(path))
            return why();
        return well_.list(path);
    }
    alos::error_code write_new(const std::string& path, alos::byte_view bytes, ::mode_t mode) override
    {
        const alos::error_code made = well_.write_new(path, is_full ? alos::byte_view() : bytes, mode);
        return made || bytes.empty() || !is_full ? made : alos::error_code(ENOSPC, boost::system::system_category());
    }
    alos::error_code sync_file(const std::string& path) override { return well_.sync_file(path); }
    alos::error_code sync_directory(const std::string& path) override { return well_.sync_directory(path); }
    alos::error_code make_directory(const std::string& path, ::mode_t mode) override
    {
        return well_.make_directory(path, mode);
    }
    alos::error_code rename(const std::string& from, const std::string& to, alos::os::if_exists taken) override
    {
        return well_.rename(from, to, taken);
    }
    alos::error_code make_symlink(const std::string& target, const std::string& path) override
    {
        return well_.make_symlink(target, path);
    }
    alos::result<std::string> read_symlink(const std::string& path) override { return well_.read_symlink(path); }
    alos::error_code remove(const std::string& path) override { return well_.remove(path); }
    alos::result<status> stat(const std::string& path) override { return well_.stat(path); }
    alos::result<std::unique_ptr<lock>> try_lock(const std::string& path) override { return well_.try_lock(path); }
    std::unique_ptr<watch> watch_directory(const std::string& path,
                                           std::function<void(const std::string&)> changed) override
    {
        return well_.watch_directory(path, std::move(changed));
    }

private:
    [[nodiscard]] bool is_sick(const std::string& path) const { return !sick.empty() && path.starts_with(sick); }
    [[nodiscard]] alos::error_code why() const { return {error, boost::system::system_category()}; }

    alos::os::file_system& well_;
};

}

#endif

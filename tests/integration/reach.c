/* Tries a TCP connection to each address of the arguments at port 7777; bit n of the exit code is set where address n
   answers. Without an address it waits for its end. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int answers(const char *address) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7777)};
    int error = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof error;
    if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return 0;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        return 0;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (poll(&ready, 1, 3000) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)
        return 0;
    close(fd);
    return 1;
}

int main(int count, char **arguments) {
    int found = 0;
    if (count == 1)
        pause();
    for (int i = 1; i < count; i++)
        found |= answers(arguments[i]) << (i - 1);
    return found;
}

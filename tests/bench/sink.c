/* sink: an SMTP server that takes every message and throws it away, faster than any MTA sends.
 *
 *   sink PORT COUNTER
 *
 * COUNTER is a file whose first eight octets are kept at the number of messages taken (the host's
 * byte order), so that a bench can watch it without asking. One process with epoll. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    int fd;
    int in_data;
    int matched; /* how much of CRLF . CRLF the data ended with */
    size_t filled;
    char line[2048];
    size_t answers;
    char out[16384];
};

static volatile uint64_t *count;
static int poller;

static void answer(struct peer *p, const char *text)
{
    size_t size = strlen(text);
    if (p->answers + size <= sizeof p->out) {
        memcpy(p->out + p->answers, text, size);
        p->answers += size;
    }
}

/* Returns 0 when the peer has said goodbye. */
static int command(struct peer *p, const char *line)
{
    if (strncasecmp(line, "DATA", 4) == 0) {
        answer(p, "354 go on\r\n");
        p->in_data = 1;
        p->matched = 2; /* a dot may come at once */
    } else if (strncasecmp(line, "EHLO", 4) == 0) {
        answer(p, "250-sink.test\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n");
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        answer(p, "221 bye\r\n");
        return 0;
    } else {
        answer(p, "250 ok\r\n");
    }
    return 1;
}

/* Passes over message text; returns how much of it was message text. */
static size_t skip_data(struct peer *p, const char *text, size_t size)
{
    static const char end[] = "\r\n.\r\n";
    size_t i = 0;
    while (i < size) {
        if (p->matched == 0) {
            const char *next = memchr(text + i, '\r', size - i);
            if (next == NULL)
                return size;
            i = next - text;
        }
        p->matched = text[i] == end[p->matched] ? p->matched + 1 : text[i] == '\r';
        i++;
        if (p->matched == 5) {
            p->in_data = 0;
            ++*count;
            answer(p, "250 taken\r\n");
            return i;
        }
    }
    return size;
}

static int take(struct peer *p, const char *text, size_t size)
{
    size_t i = 0;
    while (i < size) {
        if (p->in_data) {
            i += skip_data(p, text + i, size - i);
            continue;
        }
        char c = text[i++];
        if (c == '\n') {
            p->line[p->filled] = 0;
            p->filled = 0;
            if (!command(p, p->line))
                return 0;
        } else if (p->filled < sizeof p->line - 1) {
            p->line[p->filled++] = c;
        }
    }
    return 1;
}

static void serve(struct peer *p)
{
    static char buffer[262144];
    ssize_t n = read(p->fd, buffer, sizeof buffer);
    int stays;
    if (n < 0 && errno == EAGAIN)
        return;
    stays = n > 0 && take(p, buffer, n);
    if (p->answers > 0 && write(p->fd, p->out, p->answers) < 0)
        stays = 0;
    p->answers = 0;
    if (!stays) {
        close(p->fd);
        free(p);
    }
}

static void greet(int fd)
{
    struct peer *p = calloc(1, sizeof *p);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
    int one = 1;
    p->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    if (write(fd, "220 sink.test ESMTP\r\n", 21) < 0)
        return; /* the next read says so */
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct epoll_event ready[64], e = {.events = EPOLLIN, .data.ptr = NULL};
    int listener, file, one = 1, i, n;
    if (argc != 3)
        return 64;
    signal(SIGPIPE, SIG_IGN);
    file = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || ftruncate(file, 8) < 0)
        return 71;
    count = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    a.sin_port = htons(atoi(argv[1]));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&a, sizeof a) < 0 || listen(listener, 1024) < 0)
        return 71;
    poller = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        n = epoll_wait(poller, ready, 64, -1);
        for (i = 0; i < n; i++) {
            if (ready[i].data.ptr != NULL) {
                serve(ready[i].data.ptr);
                continue;
            }
            while ((one = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                greet(one);
        }
    }
}

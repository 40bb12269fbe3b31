/* load: send many messages by SMTP from parallel clients and say how long it took.
 *
 *   load -p PORT [-c CLIENTS] [-n MESSAGES] [-s SIZE] [-r] [-u USERS] [-t RECIPIENT]
 *
 * With -r a client sends all its messages in one session, else one session each. A %d in
 * RECIPIENT is replaced by a number below USERS, in turn. One process with epoll, so that it
 * takes as little as possible of the machine it measures. A client sends QUIT and closes without
 * waiting for the answer, as Exim and Postfix do. Prints one line of JSON; a message counts when
 * its final dot was answered with 2xx, and its latency runs from MAIL to that answer. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum stage { GREETING, HELLO, MAIL, RCPT, DATA, BODY };

struct client {
    int fd;
    enum stage stage;
    size_t sent; /* octets of the body that are on their way */
    double began;
    char input[4096];
    size_t filled;
};

static const double STALLED = 30.0;

static int poller, port = 25, messages = 1000, users = 1, reuse = 0;
static const char *recipient = "alice@local.test";
static int started, finished, errors;
static char *body;
static size_t body_size;
static double *latency;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void watch(struct client *c, int operation, unsigned events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &e);
}

static void connect_client(struct client *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connect(c->fd, (void *)&a, sizeof a);
    c->stage = GREETING;
    c->filled = 0;
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void leave(struct client *c)
{
    close(c->fd);
    c->fd = -1;
}

/* The session broke: the message under way, if any, is sent again in another one. */
static void retry(struct client *c)
{
    errors++;
    if (c->stage >= MAIL)
        started--;
    leave(c);
    usleep(1000);
    if (started < messages)
        connect_client(c);
}

static void command(struct client *c, const char *text, enum stage next)
{
    if (write(c->fd, text, strlen(text)) < 0)
        errors++;
    c->stage = next;
}

static void send_body(struct client *c)
{
    while (c->sent < body_size) {
        ssize_t n = write(c->fd, body + c->sent, body_size - c->sent);
        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0)
            break; /* the reader will see why */
        c->sent += n;
    }
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void begin_message(struct client *c)
{
    started++;
    c->began = now();
    command(c, "MAIL FROM:<a@sender.test>\r\n", MAIL);
}

static void end_message(struct client *c)
{
    latency[finished++] = now() - c->began;
    if (reuse && started < messages) {
        begin_message(c);
        return;
    }
    if (write(c->fd, "QUIT\r\n", 6) < 0)
        errors++;
    leave(c);
    if (started < messages)
        connect_client(c);
}

static void reply(struct client *c, const char *line)
{
    char to[300], text[320];
    if (strlen(line) > 3 && line[3] == '-')
        return;
    if (line[0] != '2' && line[0] != '3') {
        if (errors < 5)
            fprintf(stderr, "load: in stage %d: %s\n", c->stage, line);
        retry(c);
        return;
    }
    switch (c->stage) {
    case GREETING:
        command(c, "EHLO client.test\r\n", HELLO);
        break;
    case HELLO:
        if (started < messages)
            begin_message(c);
        else
            leave(c);
        break;
    case MAIL:
        snprintf(to, sizeof to, recipient, started % users);
        snprintf(text, sizeof text, "RCPT TO:<%s>\r\n", to);
        command(c, text, RCPT);
        break;
    case RCPT:
        command(c, "DATA\r\n", DATA);
        break;
    case DATA:
        c->sent = 0;
        c->stage = BODY;
        send_body(c);
        break;
    case BODY:
        end_message(c);
        break;
    }
}

static void read_replies(struct client *c)
{
    ssize_t n = read(c->fd, c->input + c->filled, sizeof c->input - 1 - c->filled);
    char *end;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        retry(c);
        return;
    }
    c->filled += n;
    c->input[c->filled] = 0;
    while ((end = strchr(c->input, '\n')) != NULL) {
        char line[sizeof c->input];
        size_t used = end - c->input + 1;
        int fd = c->fd;
        memcpy(line, c->input, used - 1);
        line[used - 1] = 0;
        memmove(c->input, end + 1, c->filled - used + 1);
        c->filled -= used;
        reply(c, line);
        if (c->fd != fd || c->filled == 0)
            return;
    }
}

static void compose(size_t size)
{
    body = malloc(size + 1024);
    body_size = sprintf(body,
                        "From: <a@sender.test>\r\nTo: <someone@local.test>\r\nSubject: load\r\n"
                        "Date: Mon, 23 Nov 2026 11:00:00 +0000\r\n"
                        "Message-Id: <%d.%ld@client.test>\r\n\r\n",
                        (int)getpid(), (long)time(NULL));
    while (body_size + 78 <= size) {
        memset(body + body_size, 'X', 76);
        body[body_size] = '1' + body_size % 9;
        memcpy(body + body_size + 76, "\r\n", 2);
        body_size += 78;
    }
    memcpy(body + body_size, ".\r\n", 3);
    body_size += 3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    int option, clients = 10, size = 4096, n, i;
    struct client *all;
    struct epoll_event ready[64];
    double start, last;
    while ((option = getopt(argc, argv, "p:c:n:s:u:t:r")) != -1)
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'c': clients = atoi(optarg); break;
        case 'n': messages = atoi(optarg); break;
        case 's': size = atoi(optarg); break;
        case 'u': users = atoi(optarg); break;
        case 't': recipient = optarg; break;
        case 'r': reuse = 1; break;
        default: return 64;
        }
    signal(SIGPIPE, SIG_IGN);
    compose(size);
    if (clients > messages)
        clients = messages;
    latency = calloc(messages + clients, sizeof *latency);
    all = calloc(clients, sizeof *all);
    poller = epoll_create1(EPOLL_CLOEXEC);
    start = last = now();
    for (i = 0; i < clients; i++)
        connect_client(all + i);
    while (finished < messages && now() - last < STALLED) {
        n = epoll_wait(poller, ready, 64, 1000);
        for (i = 0; i < n; i++) {
            struct client *c = ready[i].data.ptr;
            last = now();
            if (c->fd >= 0 && ready[i].events & EPOLLOUT)
                send_body(c);
            if (c->fd >= 0 && ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_replies(c);
        }
    }
    last = now() - start;
    qsort(latency, finished, sizeof *latency, by_size);
    printf("{\"messages\": %d, \"seconds\": %.4f, \"errors\": %d, \"p50\": %.2f, \"p99\": %.2f}\n",
           finished, last, errors, finished ? latency[finished / 2] * 1e3 : 0,
           finished ? latency[(int)(finished * .99)] * 1e3 : 0);
    return finished < messages;
}

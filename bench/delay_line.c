/* A delay line for TCP: `delay_line ONE_WAY_US TO_HOST TO_PORT` listens on a free loopback port, prints it, and passes
 * on what it reads ONE_WAY_US later, in both directions, whatever the size: a longer wire, not a narrower one.
 * One thread; epoll, and a timerfd that is set to the earliest piece that is due. Ends when its standard input does. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 65536, MOST_WAITING = 8 << 20, EVENTS = 64 };

struct piece {
    struct piece *next;
    uint64_t due;
    size_t length, sent;
    char bytes[];
};

/* One end of a connection, and what waits to be written to it. */
struct end {
    int fd;
    struct end *other;
    struct piece *first, *last;
    size_t waiting;
    int is_over;                /* nothing more is read from it */
    int is_shut, is_blocked, is_broken, is_unwatched;
    struct end *later, *earlier; /* all ends that are open */
};

static struct end *ends;
static int poll_fd, timer_fd;
static uint64_t delay_ns;
static char chunk[CHUNK];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Read from `e` while the other end's queue has room; wake up for writing only when the socket took no more. */
static void watch(struct end *e) {
    struct epoll_event event = {.data.ptr = e};
    if (!e->is_over && e->other->waiting < MOST_WAITING) event.events |= EPOLLIN;
    if (e->is_blocked) event.events |= EPOLLOUT;
    if (!e->is_unwatched && epoll_ctl(poll_fd, EPOLL_CTL_MOD, e->fd, &event)) die("epoll_ctl");
}

static struct end *make_end(int fd) {
    struct end *e = calloc(1, sizeof *e);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};
    int on = 1;
    if (!e) die("calloc");
    e->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    e->later = ends;
    if (ends) ends->earlier = e;
    return ends = e;
}

static void read_from(struct end *e) {
    struct end *to = e->other;
    struct piece *p;
    ssize_t length = read(e->fd, chunk, sizeof chunk);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        e->is_over = 1; /* the other end is told when its queue is empty */
        length = 0;
    }
    if (!(p = malloc(sizeof *p + (size_t)length))) die("malloc");
    *p = (struct piece){.due = now() + delay_ns, .length = (size_t)length};
    memcpy(p->bytes, chunk, (size_t)length);
    if (to->last) to->last->next = p;
    else to->first = p;
    to->last = p;
    to->waiting += p->length;
    watch(e);
}

/* Write what is due. Returns when the next piece is, 0 for never. A piece of no bytes is the end. */
static uint64_t write_to(struct end *e) {
    uint64_t at = now();
    struct piece *p;
    int was_blocked = e->is_blocked;
    size_t before = e->waiting;
    e->is_blocked = 0;
    while ((p = e->first) && p->due <= at) {
        if (!p->length) {
            shutdown(e->fd, SHUT_WR);
            e->is_shut = 1;
        } else if (!e->is_broken) {
            ssize_t sent = send(e->fd, p->bytes + p->sent, p->length - p->sent, MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0 && errno == EAGAIN) {
                e->is_blocked = 1;
                break;
            }
            if (sent < 0) e->is_broken = 1;
            else if ((p->sent += (size_t)sent) < p->length) continue;
        }
        e->waiting -= p->length;
        if (!(e->first = p->next)) e->last = NULL;
        free(p);
    }
    if (e->is_blocked != was_blocked) watch(e);
    if (before >= MOST_WAITING && e->waiting < MOST_WAITING) watch(e->other);
    return e->first && !e->is_blocked ? e->first->due : 0;
}

static void drop(struct end *e) {
    struct piece *p;
    while ((p = e->first)) {
        e->first = p->next;
        free(p);
    }
    close(e->fd);
    if (e->later) e->later->earlier = e->earlier;
    *(e->earlier ? &e->earlier->later : &ends) = e->later;
    free(e);
}

/* Write to all ends, drop the connections that are over on both, and set the timer. */
static void turn(void) {
    struct itimerspec at = {0};
    uint64_t next = 0;
    for (struct end *e = ends; e; e = e->later) {
        uint64_t due = write_to(e);
        if (due && (!next || due < next)) next = due;
    }
    for (struct end *e = ends, *later; e; e = later) {
        later = e->later;
        if (e->is_shut && e->other->is_shut) {
            if (later == e->other) later = later->later;
            drop(e->other);
            drop(e);
        }
    }
    at.it_value.tv_sec = (time_t)(next / 1000000000u);
    at.it_value.tv_nsec = (long)(next % 1000000000u);
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char **argv) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, to = here;
    socklen_t size = sizeof here;
    struct epoll_event found[EVENTS], event = {.events = EPOLLIN};
    int listener = socket(AF_INET, SOCK_STREAM, 0), input = 0;
    if (argc != 4 || !inet_aton(argv[2], &to.sin_addr)) return fputs("ONE_WAY_US TO_HOST TO_PORT\n", stderr), 2;
    delay_ns = strtoull(argv[1], NULL, 10) * 1000u;
    to.sin_port = htons((uint16_t)atoi(argv[3]));
    prctl(PR_SET_TIMERSLACK, 1ul);
    poll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (bind(listener, (struct sockaddr *)&here, size) || listen(listener, 1024)) die("listen");
    getsockname(listener, (struct sockaddr *)&here, &size);
    event.data.ptr = &listener, epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &timer_fd, epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    event.data.ptr = &input, epoll_ctl(poll_fd, EPOLL_CTL_ADD, input, &event);
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poll_fd, found, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            void *which = found[i].data.ptr;
            if (which == &timer_fd) {
                uint64_t ignored;
                if (read(timer_fd, &ignored, sizeof ignored) < 0) continue;
            } else if (which == &input) {
                char ignored[64];
                if (read(input, ignored, sizeof ignored) <= 0) return 0;
            } else if (which == &listener) {
                int near = accept(listener, NULL, NULL), far = socket(AF_INET, SOCK_STREAM, 0);
                if (near < 0 || far < 0) die("accept");
                if (connect(far, (struct sockaddr *)&to, sizeof to)) {
                    close(near), close(far);
                    continue;
                }
                struct end *a = make_end(near), *b = make_end(far);
                a->other = b, b->other = a;
            } else if (found[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                struct end *e = which;
                if (!e->is_over) read_from(e);
                else if (found[i].events & (EPOLLHUP | EPOLLERR)) { /* nobody is there to be written to */
                    e->is_broken = e->is_unwatched = 1;
                    epoll_ctl(poll_fd, EPOLL_CTL_DEL, e->fd, NULL);
                }
            }
        }
        turn();
    }
}

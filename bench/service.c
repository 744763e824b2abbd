/* A service to be supervised: tells a pipe that it is up, and then does one thing.
 *
 * usage: service NAME PIPE stay | lines BYTES WRITES GO | storm COUNT GO | leave
 *
 * PIPE gets a line `NAME PID OTHER` at the start. `lines` writes numbered lines of 100 bytes, BYTES in all, so many of them at a
 * time as WRITES says; `storm` makes orphans that all end at one moment; both begin when GO, a named pipe, is opened for writing.
 * `leave` has a child that outlives it, its number being OTHER.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE = 100, MOST = 400 };

static void end(int number) {
    (void)number;
    _exit(0);
}

static void say(char **argv, int other) {
    char text[200];
    int length = snprintf(text, sizeof text, "%s %d %d\n", argv[1], (int)getpid(), other);
    int pipe = open(argv[2], O_WRONLY | O_CLOEXEC);
    if (pipe < 0 || write(pipe, text, length) != length) _exit(9);
    close(pipe);
}

static void wait_for(const char *go) {
    int pipe = open(go, O_RDONLY | O_CLOEXEC);
    if (pipe < 0) _exit(9);
    close(pipe);
}

static void lines(long bytes, int at_once) {
    static char block[MOST * LINE];
    memset(block, '.', sizeof block);
    for (long number = 0; number < bytes / LINE;) {
        int count = 0;
        for (; count < at_once && number < bytes / LINE; count++, number++) {
            char *line = block + count * LINE;
            line[snprintf(line, 20, "%012ld", number)] = ' ';
            line[LINE - 1] = '\n';
        }
        for (int done = 0; done < count * LINE;) {
            int written = write(1, block + done, count * LINE - done);
            if (written < 0) _exit(9);
            done += written;
        }
    }
}

/* Each orphan waits for the end of a pipe whose other end is held by this process alone. */
static int storm(int count) {
    int ends[2];
    if (pipe(ends) != 0) _exit(9);
    int maker = fork();
    if (maker == 0) {
        close(ends[1]);
        for (int made = 0; made < count; made++) {
            int child = fork();
            if (child < 0) _exit(9);
            if (child == 0) {
                char byte;
                _exit(read(ends[0], &byte, 1) != 0);
            }
        }
        _exit(0);
    }
    int status;
    if (maker < 0 || waitpid(maker, &status, 0) != maker || status != 0) _exit(9);
    return ends[1];
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    signal(SIGTERM, end);
    signal(SIGPIPE, SIG_DFL);
    const char *what = argv[3];
    if (strcmp(what, "lines") == 0) {
        say(argv, 0);
        wait_for(argv[6]);
        lines(atol(argv[4]), atoi(argv[5]));
        say(argv, 1);
    } else if (strcmp(what, "storm") == 0) {
        int end_of_all = storm(atoi(argv[4]));
        say(argv, 0);
        wait_for(argv[5]);
        close(end_of_all);
    } else if (strcmp(what, "leave") == 0) {
        int child = fork();
        while (child == 0) pause();
        say(argv, child);
    } else {
        say(argv, 0);
    }
    for (;;) pause();
}

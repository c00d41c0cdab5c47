/* Reads the results of `edgesam-run … --out 'socket:PATH?masks=bits'` and prints each mask's box,
 * area and middle. docs/outputs.md describes the feed.
 *
 *     cc -std=c99 -Wall -o read_feed read_feed.c && ./read_feed PATH
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

static FILE *open_feed(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int line = socket(AF_UNIX, SOCK_STREAM, 0);
    if (line < 0 || strlen(path) >= sizeof address.sun_path) return NULL;
    strcpy(address.sun_path, path);
    if (connect(line, (struct sockaddr *)&address, sizeof address) != 0) return NULL;
    return fdopen(line, "r");
}

/* Prints the objects of a payload; returns 0 if the payload is not what it should be. */
static int print_objects(const unsigned char *at, const unsigned char *end) {
    while (at < end) {
        uint32_t raw[5]; /* id, left, top, right, bottom, in network byte order */
        int32_t v[5];
        if ((size_t)(end - at) < sizeof raw) return 0;
        memcpy(raw, at, sizeof raw);
        at += sizeof raw;
        for (int i = 0; i < 5; i++) v[i] = (int32_t)ntohl(raw[i]);
        long width = v[3] - v[1], height = v[4] - v[2], stride = (width + 7) / 8;
        if (width < 0 || height < 0 || end - at < stride * height) return 0;
        long area = 0, sum_x = 0, sum_y = 0;
        for (long y = 0; y < height; y++)
            for (long x = 0; x < width; x++)
                if (at[y * stride + x / 8] >> (7 - x % 8) & 1) {
                    area++;
                    sum_x += v[1] + x;
                    sum_y += v[2] + y;
                }
        at += stride * height;
        printf("  object %d box %d,%d,%d,%d area %ld", v[0], v[1], v[2], v[3], v[4], area);
        if (area) printf(" middle %ld,%ld", sum_x / area, sum_y / area);
        printf("\n");
    }
    return 1;
}

int main(int argc, char **argv) {
    FILE *feed = argc == 2 ? open_feed(argv[1]) : NULL;
    if (!feed) {
        perror(argc == 2 ? argv[1] : "usage: read_feed PATH");
        return 1;
    }
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, feed) > 0) {
        int version;
        long bytes, lost, frame;
        /* The first three keys of every line are these, in this order. */
        if (sscanf(line, "{\"feed\":%d,\"payload\":%ld,\"lost\":%ld,", &version, &bytes, &lost) != 3 ||
            version != 1 || bytes < 0) {
            fprintf(stderr, "this is no feed of version 1\n");
            return 1;
        }
        unsigned char *payload = malloc(bytes ? (size_t)bytes : 1);
        if (!payload || fread(payload, 1, (size_t)bytes, feed) != (size_t)bytes) return 1;
        const char *found = strstr(line, "\"frame_id\":");
        if (found && sscanf(found, "\"frame_id\":%ld", &frame) == 1) {
            printf("frame %ld, %ld lost before it\n", frame, lost);
            if (!print_objects(payload, payload + bytes)) return 1;
            fflush(stdout);
        }
        free(payload);
    }
    free(line);
    fclose(feed);
    return 0;
}

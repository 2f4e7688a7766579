#pragma once

#include "channels/pairing.h"
#include "codec/document.h"
#include "codec/json.h"

// The files of pairing.c: JSON objects in one directory of the home, with one lock for all of them.
enum pairing_lock { PAIRING_UNLOCKED, PAIRING_LOCK_WAIT, PAIRING_LOCK_TRY };

/*
 * The directory: pairing/ of the home, or platforms/pairing/ where the platform's files are there,
 * as newer hermes-agents have them beside an empty pairing/. Codes are given by that one only; who
 * was approved in the other one stays so (PAIRING_OTHER).
 *
 * Only with a lock it is made when it is missing; without, and always for the other one, *ret_fd is
 * then -1 and all files read as empty. -EAGAIN: PAIRING_LOCK_TRY, and somebody else has it.
 */
enum pairing_place { PAIRING_OWN, PAIRING_OTHER, PAIRING_PLACES };
int pairing_open(const struct pairing *pairing, enum pairing_place place, enum pairing_lock lock,
                 int *ret_fd, struct error *err);

struct pairing_file {
    char name[80];
    struct buf text;
    struct json doc; // always an object
};
#define PAIRING_FILE_AUTO CLEANUP(pairing_file_finish) struct pairing_file

extern const char pairing_pending[], pairing_approved[]; // kinds of a platform's files
extern const char pairing_limits[];                      // the one of all platforms

// A file that is missing or empty is {}; one that is no JSON object is left alone and refused.
int pairing_file_load(const struct pairing *pairing, int directory_fd, const char *kind,
                      struct pairing_file *ret_file, struct error *err);
void pairing_file_finish(struct pairing_file *file); // accepts zeroed
struct json_value pairing_file_find(const struct pairing_file *file, struct span key);

/*
 * A new text of a file: begin, which reads the old one and takes over, byte for byte, the members
 * for which `keep` is true (NULL: none); more members, added to `root`; save.
 */
struct pairing_edit {
    const struct pairing *pairing; // from here on to be filled in
    int fd;                        // of the directory
    const char *kind;
    bool (*keep)(const struct pairing_edit *edit, struct span key, struct json_value value);
    struct span key, user;    // for `keep`: whose entry is left out; absent: nobody's
    struct pairing_file file; // as it was
    struct document doc;
    struct node root;
};
#define PAIRING_EDIT_AUTO CLEANUP(pairing_edit_finish) struct pairing_edit

int pairing_edit_begin(struct pairing_edit *edit, struct error *err);
// `durable`: it waits for the disk.
int pairing_edit_save(struct pairing_edit *edit, bool durable, struct error *err);
void pairing_edit_finish(struct pairing_edit *edit); // accepts zeroed

bool pairing_time(struct json_value seconds, int64_t *ret_ms); // as hermes-agent writes it

// pairing.c
bool pairing_is_live(const struct pairing *pairing, struct json_value entry); // a request
int64_t pairing_lockout_until(const struct pairing *pairing,
                              const struct pairing_file *limits); // 0: there is none

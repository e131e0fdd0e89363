/* The rows of a long result, or of a COPY TO, from one read to the next.
 *
 * Once Python has opened the first rows of a result, those behind them need nothing of it. Whatever is not a straight
 * row ends the stream: it is Python's, and all that is behind it.
 */
#ifndef PGCRYPT_STREAM_H
#define PGCRYPT_STREAM_H

typedef struct {
    Rows *rows;          /* NULL: there is no stream */
    size_t limit;        /* longer messages are Python's */
    unsigned char *kept; /* the beginning of a row whose rest has not come */
    size_t kept_size, kept_room;
    unsigned char *work; /* what is opened, and room for one value before and behind its conversion */
    size_t work_room;
} Stream;

static void stream_end(Stream *self)
{
    PyMem_Free(self->kept);
    PyMem_Free(self->work);
    self->kept = self->work = NULL;
    self->kept_size = self->kept_room = self->work_room = 0;
    Py_CLEAR(self->rows);
}

static int has_room(unsigned char **buffer, size_t *room, size_t wanted)
{
    if (wanted <= *room)
        return 1;
    if (wanted < 2 * *room)
        wanted = 2 * *room;
    unsigned char *made = PyMem_Realloc(*buffer, wanted);
    if (made == NULL)
        return 0;
    *buffer = made;
    *room = wanted;
    return 1;
}

/* How long the message is that begins there, or its header while that is incomplete; 0 if it is none of the stream's. */
static size_t stream_wants(const Stream *self, const unsigned char *in, size_t size)
{
    if (size > 0 && in[0] != self->rows->message)
        return 0;
    if (size < 5)
        return 5;
    size_t length = load32(in + 1);
    return length < 4 || length >= self->limit ? 0 : length + 1;
}

static int stream_keep(Stream *self, const unsigned char *in, size_t size)
{
    if (size == 0)
        return 1;
    if (!has_room(&self->kept, &self->kept_room, self->kept_size + size))
        return 0;
    memcpy(self->kept + self->kept_size, in, size);
    self->kept_size += size;
    return 1;
}

/* Takes from `*at` on what the kept row lacks, as far as it is there; whether it may go on. */
static int stream_complete(Stream *self, const unsigned char *in, size_t size, size_t *at)
{
    for (int part = 0; part < 2; part++) {
        size_t wanted = stream_wants(self, self->kept, self->kept_size);
        if (wanted == 0)
            return 0;
        size_t taken = wanted > self->kept_size ? wanted - self->kept_size : 0;
        if (taken > size - *at)
            taken = size - *at;
        if (!stream_keep(self, in + *at, taken))
            return 0;
        *at += taken;
    }
    return 1;
}

/* Opens the kept row and those from `*at` on, as far as they are straight; returns how many bytes were made. */
static size_t stream_rows(Stream *self, const unsigned char *in, size_t size, size_t *at, int *goes_on)
{
    size_t left = size - *at, room = self->kept_size + left, kept_at = 0;
    unsigned char *out = self->work, *scratch = out + room, *value = scratch + (self->work_room - room) / 2;
    size_t made = open_rows(self->rows, self->kept, self->kept_size, &kept_at, scratch, value, out);
    *goes_on = kept_at == self->kept_size;
    if (*goes_on) {
        self->kept_size = 0;
        made += open_rows(self->rows, in, size, at, scratch, value, out + made);
    }
    return made;
}

/* The same as bytes, or NULL: there are none. */
static PyObject *stream_open(Stream *self, const unsigned char *in, size_t size, size_t *at, int *goes_on)
{
    Rows *rows = self->rows;
    size_t kept = self->kept_size, start = *at, left = size - start, longest = left > kept ? left : kept, made;
    if (!has_room(&self->work, &self->work_room, kept + left + 2 * longest) || !rows_claim(rows)) {
        *goes_on = 0;
        return NULL;
    }
    double started = monotonic();
    for (Py_ssize_t i = 0; i < rows->count; i++)
        rows->columns[i].opened = 0;
    if (left >= GIL_BYTES && !rows->has_convert) {
        Py_BEGIN_ALLOW_THREADS
        made = stream_rows(self, in, size, at, goes_on);
        Py_END_ALLOW_THREADS
    } else {
        made = stream_rows(self, in, size, at, goes_on);
    }
    rows_release(rows);
    PyErr_Clear(); /* of a column's function: the reference will meet it again */
    if (made == 0)
        return NULL;
    PyObject *answer = PyBytes_FromStringAndSize((const char *)self->work, (Py_ssize_t)made);
    if (answer == NULL) {
        PyErr_Clear();
        *at = start;
        self->kept_size = kept;
        *goes_on = 0;
        return NULL;
    }
    for (Py_ssize_t i = 0; i < rows->count; i++)
        rows->columns[i].uncounted += rows->columns[i].opened;
    rows->seconds += monotonic() - started;
    return answer;
}

/* What goes to the client of `data`, or NULL if there is nothing; `*rest` is what Python must take, or NULL: then the
 * stream goes on. NULL with an exception when there is no memory even for that. */
static PyObject *stream_take(Stream *self, PyObject *data, double keys_until, PyObject **rest)
{
    const unsigned char *in = (const unsigned char *)PyBytes_AsString(data);
    size_t size = (size_t)PyBytes_Size(data), at = 0;
    PyObject *answer = NULL;
    int goes_on = monotonic() < keys_until && (self->kept_size == 0 || stream_complete(self, in, size, &at));
    *rest = NULL;
    if (goes_on && self->kept_size > 0 && self->kept_size < stream_wants(self, self->kept, self->kept_size))
        return NULL;
    if (goes_on)
        answer = stream_open(self, in, size, &at, &goes_on);
    if (goes_on) {
        size_t wanted = stream_wants(self, in + at, size - at);
        goes_on = wanted > size - at && stream_keep(self, in + at, size - at);
    }
    if (!goes_on) {
        *rest = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(self->kept_size + size - at));
        if (*rest != NULL) {
            if (self->kept_size > 0)
                memcpy(PyBytes_AsString(*rest), self->kept, self->kept_size);
            memcpy(PyBytes_AsString(*rest) + self->kept_size, in + at, size - at);
        } else {
            Py_CLEAR(answer);
        }
        stream_end(self);
    }
    return answer;
}

#endif

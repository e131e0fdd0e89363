/* Queries that are known, by all of their bytes or by their template. */
#ifndef PGCRYPT_QUERIES_H
#define PGCRYPT_QUERIES_H

static PyObject *note_query(Courses *self, PyObject *data, Taken taken, PyObject *sent)
{
    Py_INCREF(data);
    taken.data = data;
    self->flight = taken;
    return sent;
}

/* The template of a text, borrowed, and where its literals are; NULL without an exception. */
static Template *template_of(Courses *self, Text text, Fingerprint *found)
{
    size_t characters;
    if (!utf8_read(text.in, text.size, &characters) || fingerprint_read(text, found) != 1)
        return NULL;
    PyObject *key = PyBytes_FromStringAndSize((const char *)found->key, (Py_ssize_t)found->key_length);
    if (key == NULL) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *alike = PyDict_GetItem(self->templates, key);
    Py_DECREF(key);
    for (Py_ssize_t i = 0; alike != NULL && i < PyTuple_Size(alike); i++) {
        Template *template = (Template *)PyTuple_GetItem(alike, i);
        if (template_fits(template, text, found))
            return template->route->epoch != self->epoch ||
                           (template->route->is_keyed && monotonic() >= self->keys_until)
                       ? NULL
                       : template;
    }
    return NULL;
}

static PyObject *query_requests(Courses *self, PyObject *data, const unsigned char *in, size_t size)
{
    if (message_end(in, 0, size) != size || size > MAX_BIND)
        return NULL;
    Taken taken = {.kind = QUERY};
    if (PyDict_Size(self->routes[QUERY]) > 0 && (taken.route = course_route(self, QUERY, in + 5, size - 5)) != NULL) {
        Py_INCREF((PyObject *)taken.route);
        return note_query(self, data, taken, Py_NewRef(data));
    }
    if (PyDict_Size(self->templates) == 0 || in[size - 1] != 0)
        return NULL;
    Text text = {in + 5, size - 6};
    Literal literals[MAX_LITERALS];
    unsigned char key[2 * MAX_BIND];
    Fingerprint found = {key, 0, literals, 0, MAX_LITERALS};
    Template *template = template_of(self, text, &found);
    if (template == NULL)
        return NULL;
    PyObject *sent = template->binder == NULL ? Py_NewRef(data) : template_query(template, text, &found, taken.made);
    if (sent == NULL) {
        PyErr_Clear();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < template->part_count; i++)
        taken.made_count += template->parts[i].kind == MADE;
    taken.kind = OF_TEMPLATE;
    taken.route = (Route *)Py_NewRef((PyObject *)template->route);
    taken.template = Py_NewRef(template->template);
    return note_query(self, data, taken, sent);
}

PyDoc_STRVAR(set_templates_doc, "set_templates(key, templates): what texts of that key mean, in place of what was known of it.");

static PyObject *course_set_templates(PyObject *object, PyObject *args)
{
    Courses *self = (Courses *)object;
    PyObject *key, *templates;
    if (!PyArg_ParseTuple(args, "SO!:set_templates", &key, &PyTuple_Type, &templates))
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_Size(templates); i++)
        if (!Py_IS_TYPE(PyTuple_GetItem(templates, i), template_type)) {
            PyErr_SetString(PyExc_TypeError, "templates are a tuple of Template");
            return NULL;
        }
    if (self->templates == NULL) {
        PyErr_SetString(PyExc_ValueError, "nothing is taken any more");
        return NULL;
    }
    if (PyDict_SetItem(self->templates, key, templates) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *course_forget_templates(PyObject *object, PyObject *unused)
{
    Courses *self = (Courses *)object;
    (void)unused;
    if (self->templates != NULL)
        PyDict_Clear(self->templates);
    Py_RETURN_NONE;
}

#endif

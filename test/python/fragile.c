/* What a C library does that bears no signal: it takes a read that was interrupted for one that failed. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* read(descriptor) -> 0, or the errno with which its only read(2) failed. The interpreter is free meanwhile. */
static PyObject *fragile_read(PyObject *self, PyObject *args) {
  int descriptor, error;
  char buffer[8];
  if (!PyArg_ParseTuple(args, "i", &descriptor)) return NULL;
  Py_BEGIN_ALLOW_THREADS
  error = read(descriptor, buffer, sizeof buffer) < 0 ? errno : 0;
  Py_END_ALLOW_THREADS
  return PyLong_FromLong(error);
}

/* timer(microseconds) -> a descriptor that can be read once they have passed. */
static PyObject *fragile_timer(PyObject *self, PyObject *args) {
  long microseconds;
  struct itimerspec when = {{0, 0}, {0, 0}};
  if (!PyArg_ParseTuple(args, "l", &microseconds)) return NULL;
  when.it_value.tv_sec = microseconds / 1000000;
  when.it_value.tv_nsec = microseconds % 1000000 * 1000;
  int descriptor = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (descriptor < 0 || timerfd_settime(descriptor, 0, &when, NULL) < 0)
    return PyErr_SetFromErrno(PyExc_OSError);
  return PyLong_FromLong(descriptor);
}

/* hold(milliseconds): keeps the interpreter for so long, and no signal ends it. */
static PyObject *fragile_hold(PyObject *self, PyObject *args) {
  long milliseconds;
  struct timespec from, now;
  if (!PyArg_ParseTuple(args, "l", &milliseconds)) return NULL;
  clock_gettime(CLOCK_MONOTONIC, &from);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < milliseconds);
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"read", fragile_read, METH_VARARGS, NULL},
                                {"timer", fragile_timer, METH_VARARGS, NULL},
                                {"hold", fragile_hold, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fragile", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_fragile(void) { return PyModule_Create(&module); }

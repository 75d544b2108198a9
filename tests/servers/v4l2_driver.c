/* A made V4L2 driver: preloaded, it answers for a fifo as a camera's driver answers for /dev/videoN.
 *
 * Each byte written to the fifo is one picture, filled with that byte; waiting, polling and O_NONBLOCK are the kernel's
 * own. The buffers are real mappings, so whoever reads one after it was unmapped crashes here as with a camera.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WIDTH = 64, HEIGHT = 48, SIZE = WIDTH * HEIGHT * 3 / 2, SLOTS = 32 };

static unsigned char *slots[SLOTS];
static unsigned queue[SLOTS], queued;

static void *map(size_t length, off_t offset)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        slots[offset / sysconf(_SC_PAGESIZE)] = memory;
    return memory;
}

static int is_fifo(int fd)
{
    struct stat is;
    return fd >= 0 && fstat(fd, &is) == 0 && S_ISFIFO(is.st_mode);
}

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))
typedef void *(*mmap_type)(void *, size_t, int, int, int, off_t);

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    return is_fifo(fd) ? map(length, offset) : REAL(mmap_type, "mmap")(at, length, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap(at, length, protection, flags, fd, offset);
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int dequeue(int fd, struct v4l2_buffer *buffer)
{
    unsigned char value;
    ssize_t got = read(fd, &value, 1);
    if (got != 1)
        return got < 0 ? -1 : refuse(ENODEV);
    if (!queued)
        return refuse(EIO);
    buffer->index = queue[0];
    memmove(queue, queue + 1, --queued * sizeof queue[0]);
    memset(slots[buffer->index], value, SIZE);
    buffer->bytesused = SIZE;
    return 0;
}

static int answer(int fd, unsigned long request, void *with)
{
    switch (request) {
    case VIDIOC_QUERYCAP:
        ((struct v4l2_capability *)with)->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_G_INPUT:
        *(int *)with = 0;
        return 0;
    case VIDIOC_ENUMINPUT:
        memset((char *)with + sizeof(__u32), 0, sizeof(struct v4l2_input) - sizeof(__u32));
        return 0;
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT: {
        struct v4l2_pix_format *format = &((struct v4l2_format *)with)->fmt.pix;
        format->width = WIDTH;
        format->height = HEIGHT;
        format->field = V4L2_FIELD_NONE;
        format->pixelformat = V4L2_PIX_FMT_NV12;
        format->bytesperline = WIDTH;
        format->sizeimage = SIZE;
        return 0;
    }
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_streamparm *parameters = with;
        parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        parameters->parm.capture.timeperframe = (struct v4l2_fract){1, 25};
        return 0;
    }
    case VIDIOC_REQBUFS:
        ((struct v4l2_requestbuffers *)with)->count = SLOTS;
        return 0;
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = with;
        buffer->length = SIZE;
        buffer->m.offset = buffer->index * sysconf(_SC_PAGESIZE);
        return 0;
    }
    case VIDIOC_QBUF:
        queue[queued++] = ((struct v4l2_buffer *)with)->index;
        return 0;
    case VIDIOC_DQBUF:
        return dequeue(fd, with);
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF:
        return 0;
    default:
        return refuse(ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *with = va_arg(rest, void *);
    va_end(rest);
    request &= 0xffffffff;
    if (_IOC_TYPE(request) == 'V' && is_fifo(fd))
        return answer(fd, request, with);
    typedef int (*ioctl_type)(int, unsigned long, ...);
    return REAL(ioctl_type, "ioctl")(fd, request, with);
}

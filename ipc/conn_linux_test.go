package ipc

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnsealedPayloads: a file that its sender can still change or cut would let it crash the process that maps it.
func TestUnsealedPayloads(t *testing.T) {
	const size = 1 << 20
	for _, c := range []struct {
		name  string
		seals int
		size  int64
		want  string
	}{
		{"sealed", segmentSeals, size, ""},
		{"not sealed", 0, size, "has seals 0x0, 0xf are needed"},
		{"may shrink", unix.F_SEAL_SEAL | unix.F_SEAL_GROW | unix.F_SEAL_WRITE, size, "has seals 0xd"},
		{"may be written", unix.F_SEAL_SEAL | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK, size, "has seals 0x7"},
		{"too short", segmentSeals, size - 1, "file has 1048575 bytes"},
		{"too long", segmentSeals, size + 1, "file has 1048577 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keepsFDs(t)
			a, raw := rawChannel(t)
			fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if err := unix.Ftruncate(fd, c.size); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, c.seals); err != nil {
				t.Fatal(err)
			}
			body := "\x01t\x01" + string(binary.AppendUvarint(nil, size))
			if _, _, err := raw.WriteMsgUnix([]byte(head(uint32(len(body)), 8, 1)+body), unix.UnixRights(fd), nil); err != nil {
				t.Fatal(err)
			}
			f, err := a.Read()
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				Discard(f)
				return
			}
			var pe *ProtocolError
			if !errors.As(err, &pe) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%#v, error %v, wanted %q", f, err, c.want)
			}
		})
	}
}

// TestOutOfDescriptors: the kernel drops what it cannot install, and the error names the limit.
func TestOutOfDescriptors(t *testing.T) {
	a, b := channel(t)
	p := newPayload(t, pattern(1<<20, 1))
	defer p.Release()
	if err := a.Write(Set{Key: "k", Payload: p}); err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Read()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
		t.Errorf("error %v", err)
	}
}

// TestNoDescriptorLeft: when this process has none free for what a peer sends, the error says so and does not blame the peer.
func TestNoDescriptorLeft(t *testing.T) {
	a, b := channel(t)
	p := newPayload(t, pattern(1<<20, 1))
	defer p.Release()
	if err := a.Write(Message{Topic: "t", Payload: p}); err != nil {
		t.Fatal(err)
	}
	free, err := unix.FcntlInt(uintptr(p.descriptor()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(free)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = uint64(free)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	f, err := b.Read()
	if rerr := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); rerr != nil {
		t.Fatal(rerr)
	}
	var lost *LostFilesError
	if !errors.As(err, &lost) || lost.Limit != "RLIMIT_NOFILE" || lost.Value != none.Cur {
		t.Errorf("read %v, error %v", f, err)
	}
	if violation := (*ProtocolError)(nil); errors.As(err, &violation) {
		t.Errorf("the peer is blamed: %v", err)
	}
}

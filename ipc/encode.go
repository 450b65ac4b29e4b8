package ipc

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	payloadInline = 0
	payloadMapped = 1
)

// The JSON form of the frames whose Go form is not the wire form. Durations are nanoseconds.
type (
	wireAssign struct {
		Slot         int           `json:"slot"`
		Seat         int           `json:"seat,omitempty"`
		Board        bool          `json:"board,omitempty"`
		Listeners    []Listener    `json:"listeners"`
		DrainDelay   time.Duration `json:"drain_delay_ns"`
		DrainTimeout time.Duration `json:"drain_timeout_ns"`
	}
	wireInner struct {
		Address string `json:"address,omitempty"`
	}
	wireTickets struct {
		App string `json:"app"`
	}
	wireDrain struct {
		Reason   string        `json:"reason,omitempty"`
		Handover bool          `json:"handover"`
		Linger   bool          `json:"linger,omitempty"`
		Delay    time.Duration `json:"delay_ns"`
		Timeout  time.Duration `json:"timeout_ns"`
	}
)

// check reports whether f may go on the wire, so that a mistake is the sender's error and not the receiver's.
func check(f Frame) error {
	if f == nil {
		return fmt.Errorf("cannot send a nil frame")
	}
	if err := validate(f); err != nil {
		return fmt.Errorf("cannot send %s: %w", f.frameType(), err)
	}
	return nil
}

// validate holds for frames in both directions.
func validate(f Frame) error {
	switch f := f.(type) {
	case Hello:
		return check2(check2(check1("protocol", f.Protocol), check1("PID", f.PID)), f.checkPlace())
	case Snapshot:
		return checkCount(f.Count)
	case Assign:
		if has := f.Hot != nil; has != f.Board || has != (f.Rows != nil) {
			return fmt.Errorf("board is %t, but its files are there: %t and %t", f.Board, has, f.Rows != nil)
		}
		files := f.allFiles()
		for i, file := range files {
			if file == nil {
				return fmt.Errorf("file %d is nil", i)
			}
		}
		return checkAssign(f.wire(), len(files))
	case Ready, Standby, Wake, Ack, Reply:
		return nil
	case Set:
		return check2(checkName("key", f.Key), checkTime(f.ChangedAt))
	case Delete:
		return checkName("key", f.Key)
	case Message:
		return checkName("topic", f.Topic)
	case Call:
		return check2(checkName("method", f.Method), checkDuration("timeout", f.Timeout))
	case Drain:
		return check2(checkDuration("delay", f.Delay), checkDuration("timeout", f.Timeout))
	case Bye:
		return check1("count of cut requests", f.Cut)
	case Inner:
		return checkInner(f)
	case Tickets:
		return checkName("app", f.App)
	}
	return fmt.Errorf("frames are passed by value, this is a %T", f)
}

// checkInner keeps to what an address of a Listener may be; the empty one goes without a file.
func checkInner(f Inner) error {
	if len(f.Address) > MaxKey {
		return fmt.Errorf("address of %d bytes, at most %d are allowed", len(f.Address), MaxKey)
	}
	if f.Address == "" && f.File != nil {
		return fmt.Errorf("a socket without an address")
	}
	return nil
}

func check2(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func check1(what string, n int) error {
	if n < 0 {
		return fmt.Errorf("%s is %d, at least 0 is allowed", what, n)
	}
	return nil
}

func checkCount(n int) error {
	if n < 0 || n > MaxSets {
		return fmt.Errorf("count is %d, 0 to %d is allowed", n, MaxSets)
	}
	return nil
}

func checkDuration(what string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s is %d ns, at least 0 is allowed", what, int64(d))
	}
	return nil
}

func checkName(what, s string) error {
	if len(s) == 0 || len(s) > MaxKey {
		return fmt.Errorf("%s of %d bytes, 1 to %d are allowed", what, len(s), MaxKey)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s %q is not UTF-8", what, s)
	}
	return nil
}

// checkTime keeps to what fits 64 bits of nanoseconds. Zero on the wire stands for the zero time.
func checkTime(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if s := t.Unix(); s <= math.MinInt64/1_000_000_000 || s >= math.MaxInt64/1_000_000_000 {
		return fmt.Errorf("time %s is outside the years 1678 to 2261", t.UTC().Format(time.RFC3339))
	}
	return nil
}

// boardFiles is how many descriptors a board takes: its two memories.
const boardFiles = 2

func (a Assign) wire() wireAssign {
	return wireAssign{a.Slot, a.Seat, a.Board, a.Listeners, a.DrainDelay, a.DrainTimeout}
}

// checkAssign judges a with its number of descriptors.
func checkAssign(a wireAssign, files int) error {
	if err := check1("slot", a.Slot); err != nil {
		return err
	}
	if a.Seat < 0 || a.Seat >= Seats {
		return fmt.Errorf("seat is %d, 0 to %d are allowed", a.Seat, Seats-1)
	}
	if a.Board {
		if a.Slot >= MaxSlots {
			return fmt.Errorf("slot is %d, a board has slots 0 to %d", a.Slot, MaxSlots-1)
		}
		if len(a.Listeners)+boardFiles != files {
			return fmt.Errorf("%d listeners and a board with %d descriptors, one for each and two more are needed", len(a.Listeners), files)
		}
	} else if len(a.Listeners) != files {
		return fmt.Errorf("%d listeners with %d descriptors, one for each is needed", len(a.Listeners), files)
	}
	if files > MaxFDs {
		return fmt.Errorf("%d descriptors, at most %d", files, MaxFDs)
	}
	for i, l := range a.Listeners {
		switch l.Network {
		case "tcp", "tcp4", "tcp6", "unix":
		default:
			return fmt.Errorf("network %q of listener %d is none of tcp, tcp4, tcp6, unix", clip(l.Network), i)
		}
		if len(l.Address) == 0 || len(l.Address) > MaxKey {
			return fmt.Errorf("address of listener %d has %d bytes, 1 to %d are allowed", i, len(l.Address), MaxKey)
		}
	}
	if body, err := json.Marshal(a); err != nil || len(body) > MaxFrame { // addresses may grow when they are escaped
		return fmt.Errorf("body of %d bytes, at most %d (%v)", len(body), MaxFrame, err)
	}
	return check2(checkDuration("drain delay", a.DrainDelay), checkDuration("drain timeout", a.DrainTimeout))
}

// clip makes s fit for the wire: valid UTF-8 of at most MaxText bytes.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= MaxText {
		return s
	}
	n := MaxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (f Hello) checkPlace() error {
	if f.Seat < 0 || f.Seat >= Seats {
		return fmt.Errorf("seat is %d, 0 to %d", f.Seat, Seats-1)
	}
	return check1("slot", f.Slot)
}

// appendFrame appends the encoded form of f, without its descriptors.
func appendFrame(dst []byte, f Frame) ([]byte, error) {
	if err := check(f); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, byte(f.frameType()), byte(descriptorCount(f)), 0, 0)
	var err error
	switch f := f.(type) {
	case Hello:
		f.Library, f.App = clip(f.Library), clip(f.App)
		dst, err = appendJSON(dst, f)
	case Snapshot:
		dst, err = appendJSON(dst, f)
	case Assign:
		if f.Listeners == nil {
			f.Listeners = []Listener{} // a list in JSON too, not null
		}
		dst, err = appendJSON(dst, f.wire())
	case Ready, Standby, Wake:
		dst = append(dst, '{', '}')
	case Set:
		dst = binary.AppendUvarint(dst, f.ID)
		dst = binary.AppendUvarint(dst, f.Epoch)
		dst = binary.BigEndian.AppendUint64(dst, uint64(nanos(f.ChangedAt)))
		dst = appendString(dst, f.Key)
		dst = appendPayload(dst, f.Payload)
	case Delete:
		dst = binary.AppendUvarint(dst, f.ID)
		dst = binary.AppendUvarint(dst, f.Epoch)
		dst = appendString(dst, f.Key)
	case Ack:
		dst = binary.AppendUvarint(dst, f.Epoch)
	case Message:
		dst = appendString(dst, f.Topic)
		dst = appendPayload(dst, f.Payload)
	case Call:
		dst = binary.AppendUvarint(dst, f.ID)
		dst = binary.AppendUvarint(dst, uint64(f.Timeout))
		dst = appendString(dst, f.Method)
		dst = appendPayload(dst, f.Payload)
	case Reply:
		dst = binary.AppendUvarint(dst, f.ID)
		dst = appendString(dst, clip(f.Error))
		dst = appendPayload(dst, f.Payload)
	case Drain:
		dst, err = appendJSON(dst, wireDrain{clip(f.Reason), f.Handover, f.Linger, f.Delay, f.Timeout})
	case Bye:
		f.Reason = clip(f.Reason)
		dst, err = appendJSON(dst, f)
	case Inner:
		dst, err = appendJSON(dst, wireInner{clip(f.Address)})
	case Tickets:
		dst, err = appendJSON(dst, wireTickets{f.App})
	}
	body := len(dst) - start - headerLen
	if err == nil && body > MaxFrame {
		err = fmt.Errorf("body of %d bytes, at most %d", body, MaxFrame)
	}
	if err != nil {
		return dst[:start], fmt.Errorf("cannot send %s: %w", f.frameType(), err)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(body))
	return dst, nil
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendPayload(dst []byte, p *Payload) []byte {
	if p == nil {
		return append(dst, payloadInline)
	}
	if p.large() {
		return binary.AppendUvarint(append(dst, payloadMapped), uint64(p.Len()))
	}
	return append(append(dst, payloadInline), p.inline()...)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// sizeHint is a fair guess of the encoded length: what a batch is filled by.
func sizeHint(f Frame) int {
	const fixed = headerLen + 40
	switch f := f.(type) {
	case Set:
		return fixed + len(f.Key) + f.Payload.inlineLen()
	case Delete:
		return fixed + len(f.Key)
	case Message:
		return fixed + len(f.Topic) + f.Payload.inlineLen()
	case Call:
		return fixed + len(f.Method) + f.Payload.inlineLen()
	case Reply:
		return fixed + len(f.Error) + f.Payload.inlineLen()
	case Ack, Ready, Standby, Wake:
		return fixed
	}
	return 1 << 10
}

// descriptorCount is the number of descriptors that travel with f.
func descriptorCount(f Frame) int {
	if files := filesOf(f); len(files) > 0 {
		return len(files)
	}
	if p := payloadOf(f); p != nil && p.large() {
		return 1
	}
	return 0
}

// descriptors returns the numbers of the descriptors that travel with f. They are valid as long as the caller keeps f's
// files and payload.
func descriptors(f Frame) ([]int, error) {
	if files := filesOf(f); len(files) > 0 {
		fds := make([]int, 0, len(files))
		for i, file := range files {
			fd, err := Descriptor(file)
			if err != nil {
				return nil, fmt.Errorf("cannot send %s: file %d: %w", f.frameType(), i, err)
			}
			fds = append(fds, fd)
		}
		return fds, nil
	}
	if p := payloadOf(f); p != nil && p.large() {
		return []int{p.descriptor()}, nil
	}
	return nil, nil
}

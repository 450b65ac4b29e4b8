package term

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Seconds returns a span of time in at most two units: 3d4h, 2h5m, 12s, 850ms.
func Seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d <= 0:
		return "0s"
	case d < time.Second:
		return strconv.Itoa(int(d.Milliseconds())) + "ms"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return two(int(d/time.Minute), "m", int(d/time.Second)%60, "s")
	case d < 24*time.Hour:
		return two(int(d/time.Hour), "h", int(d/time.Minute)%60, "m")
	}
	return two(int(d/time.Hour)/24, "d", int(d/time.Hour)%24, "h")
}

func two(a int, unitA string, b int, unitB string) string {
	if b == 0 {
		return strconv.Itoa(a) + unitA
	}
	return strconv.Itoa(a) + unitA + strconv.Itoa(b) + unitB
}

// Milliseconds returns a duration with its unit; "-" for 0, which means that nothing was measured.
func Milliseconds(ms float64) string {
	switch {
	case ms <= 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.2gms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0fms", ms)
	}
	return Seconds(ms / 1000)
}

// Memory returns a size in bytes with a unit, in powers of 1024: 12M.
func Memory(n int64) string {
	const units = "KMGTP"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	v, i := float64(n)/1024, 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if v < 10 {
		return fmt.Sprintf("%.1f%c", v, units[i])
	}
	return fmt.Sprintf("%.0f%c", v, units[i])
}

// Number returns a count, from 100,000 on in powers of 1000: 100.0k.
func Number(n uint64) string {
	switch {
	case n < 100_000:
		return strconv.FormatUint(n, 10)
	case n < 10_000_000:
		return fmt.Sprintf("%.1fk", float64(n)/1e3)
	case n < 10_000_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1fG", float64(n)/1e9)
}

// PrintJSON writes v as JSON, indented.
func PrintJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// PrintLine writes v as JSON on one line.
func PrintLine(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

// Count returns n with a noun, which gets an s where n is not 1: "1 app", "2 apps".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// WholeNumber reads a number of decimal digits, with or without a sign. It refuses what other programs read in different
// ways: 010 (octal to some), 1_000, 0x10, 1e3.
func WholeNumber(text string) (int, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if digits == "" || len(text)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		return 0, errors.New("not a whole number: write it with the digits 0 to 9 alone")
	}
	if len(digits) > 1 && digits[0] == '0' {
		return 0, errors.New("a number that begins with 0, which some take for octal: write it without")
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, errors.New("too large a number")
	}
	return n, nil
}

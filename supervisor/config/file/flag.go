package file

import (
	"fmt"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/config"
)

// ParseCacheFlag reads a cached value from a command line:
//
//	KEY=exec:COMMAND[@EVERY]        runs sh -c COMMAND
//	KEY=file:PATH[@EVERY]
//	KEY=sql:sqlite:FILE:QUERY[@EVERY]
//
// such as users=sql:sqlite:app.db:SELECT count(*) FROM users@5s. What follows the last @ is the interval if it begins with a
// digit; so a value that has an @ before a digit must end with an interval. The value has its defaults. The error says what to
// write.
func ParseCacheFlag(text string) (config.CacheValue, error) {
	v, err := parseCacheFlag(text)
	if err != nil {
		return config.CacheValue{}, fmt.Errorf("cannot read the cached value %q: %w", text, err)
	}
	return v, nil
}

func parseCacheFlag(text string) (config.CacheValue, error) {
	const want = "write KEY=exec:COMMAND@5s, KEY=file:PATH@5s or KEY=sql:sqlite:FILE:QUERY@5s"
	var v config.CacheValue
	v.Fill()
	key, source, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return v, fmt.Errorf("no key: %s", want)
	}
	v.Key = key
	kind, value, ok := strings.Cut(source, ":")
	if !ok {
		return v, fmt.Errorf("no source: %s", want)
	}
	if at := strings.LastIndexByte(value, '@'); at >= 0 && at+1 < len(value) && isDigit(value[at+1]) {
		every, err := parseDuration(value[at+1:], someDuration)
		if err != nil {
			return v, err
		}
		if every < 10*time.Millisecond {
			return v, fmt.Errorf("%s is too often: the least is 10ms", every)
		}
		v.Every, value = every, value[:at]
	}
	if value == "" {
		return v, fmt.Errorf("%s of nothing: %s", kind, want)
	}
	switch kind {
	case "exec":
		v.Exec = shell(value)
	case "file":
		v.File = value
	case "sql":
		parts := strings.SplitN(value, ":", 3)
		if len(parts) < 3 || parts[1] == "" || parts[2] == "" {
			return v, fmt.Errorf("sql needs a driver, a file and a query: write KEY=sql:sqlite:FILE:QUERY@5s")
		}
		if parts[0] != "sqlite" {
			return v, fmt.Errorf("no driver %q: the only one is sqlite", parts[0])
		}
		v.SQL = config.SQL{Driver: parts[0], DSN: parts[1], Query: parts[2]}
	default:
		return v, fmt.Errorf("no source %q: %s", kind, want)
	}
	return v, nil
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

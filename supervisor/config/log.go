package config

import (
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/listen"
)

const (
	defaultLogKeep = 7
	leastLogSize   = 4 << 10
	leastLogAge    = time.Minute
)

// MaxLogKeep is the largest value of [Log.Keep] and [AppLog.Keep].
const MaxLogKeep = 10_000

// Log says how the master writes its log. The output of workers goes there too, unless their app has a log file of its own.
type Log struct {
	Format string // "auto" (default: text on a terminal, else JSON), "text", "json"
	Level  string // "trace", "debug", "info" (default), "warn", "error"
	File   string // default: standard error

	MaxSize  int64         // bytes at which the file is rotated, at least 4 KiB; 0 (default): at no size
	MaxAge   time.Duration // time after which the file is rotated, at least 1m; 0 (default): at no age
	Keep     int           // rotated files that stay, 1 to 10,000; default 7
	Compress bool          // with gzip, what was rotated
}

// AppLog says where the output of an app's workers goes. In a file it may be the path alone.
type AppLog struct {
	File     string        // default: the master's log. From a file: relative to the file's own folder
	MaxSize  int64         // bytes at which the file is rotated, at least 4 KiB; 0 (default): at no size
	MaxAge   time.Duration // time after which the file is rotated, at least 1m; 0 (default): at no age
	Keep     int           // rotated files that stay, 1 to 10,000; default 7
	Compress bool          // with gzip, what was rotated
	OnFull   string        // OnFullBlock (default), OnFullDrop
}

func (l *Log) fill() {
	setDefault(&l.Format, "auto")
	setDefault(&l.Level, "info")
	if l.MaxSize > 0 || l.MaxAge > 0 {
		setDefault(&l.Keep, defaultLogKeep)
	}
}

func (l *AppLog) fill() {
	setDefault(&l.OnFull, OnFullBlock)
	if l.MaxSize > 0 || l.MaxAge > 0 {
		setDefault(&l.Keep, defaultLogKeep)
	}
}

func (c *checker) log(l Log) {
	c.oneOf("log.format", l.Format, "auto", "text", "json")
	c.oneOf("log.level", l.Level, "trace", "debug", "info", "warn", "error")
	c.rotation("log", l.File, l.MaxSize, l.MaxAge, l.Keep, l.Compress)
}

func (c *checker) appLog(path string, l AppLog) {
	c.oneOf(Join(path, "on_full"), l.OnFull, OnFullBlock, OnFullDrop)
	c.rotation(path, l.File, l.MaxSize, l.MaxAge, l.Keep, l.Compress)
}

// rotatedTwice refuses two different paths that lead to one file which is rotated: each would move it away under the other.
// Apps may share a file by the same path.
func (c *checker) rotatedTwice(config *Config) {
	type name struct {
		key, path string
		rotated   bool
	}
	first := map[string]name{}
	check := func(key, path string, rotated bool) {
		if path == "" || strings.ContainsRune(path, 0) {
			return
		}
		at := listen.PathIdentity(path)
		other, taken := first[at]
		if !taken {
			first[at] = name{key, path, rotated}
		} else if other.path != path && (rotated || other.rotated) {
			c.fail(key, "%s is the file %s of %s, by another name, and it is rotated: write the same path in both", path, other.path, other.key)
		}
	}
	check("log.file", config.Log.File, config.Log.MaxSize > 0 || config.Log.MaxAge > 0)
	for _, a := range config.Apps {
		check(Join(Join(Join("apps", a.Name), "log"), "file"), a.Log.File, a.Log.MaxSize > 0 || a.Log.MaxAge > 0)
	}
}

func (c *checker) rotation(path, file string, size int64, age time.Duration, keep int, compress bool) {
	if strings.ContainsRune(file, 0) {
		c.fail(Join(path, "file"), "contains a zero byte")
	}
	switch {
	case size < 0:
		c.fail(Join(path, "max_size"), "%d is negative", size)
	case size > 0 && size < leastLogSize:
		c.fail(Join(path, "max_size"), "%d bytes is too little: write off or at least 4KiB", size)
	}
	c.atLeast(Join(path, "max_age"), age, leastLogAge)
	c.between(Join(path, "keep"), keep, 0, MaxLogKeep)
	rotated := size > 0 || age > 0
	for _, k := range []struct {
		key string
		set bool
	}{{"max_size", size > 0}, {"max_age", age > 0}, {"keep", keep > 0}, {"compress", compress}} {
		switch {
		case !k.set:
		case file == "":
			c.fail(Join(path, k.key), "rotates no file: write file: beside it")
			return
		case !rotated:
			c.fail(Join(path, k.key), "nothing is rotated: write max_size: 100MiB or max_age: 24h beside it")
			return
		}
	}
}

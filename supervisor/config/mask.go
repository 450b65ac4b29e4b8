package config

import (
	"maps"
	"slices"
	"strings"
)

// Mask stands for a value that is not shown.
const Mask = "***"

// secretWords mark a variable as secret whose name has one of them as a word, or ends with one (DBPASSWORD).
var secretWords = []string{"PASSWORD", "PASSWD", "PASS", "PWD", "PASSPHRASE", "SECRET", "SECRETS", "TOKEN", "TOKENS", "KEY", "KEYS",
	"CREDENTIAL", "CREDENTIALS", "AUTH", "COOKIE", "SALT", "DSN", "PRIVATE", "CERT", "SIGNATURE", "BEARER"}

// IsSecret reports whether the value of a variable must not be shown: by its name, such as DB_PASSWORD, or because the value is
// an address with a password in it.
func IsSecret(name, value string) bool {
	words := strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool { return r == '_' || r == '-' || r == '.' })
	for _, w := range words {
		if slices.ContainsFunc(secretWords, func(s string) bool { return w == s || len(s) > 3 && strings.HasSuffix(w, s) }) {
			return true
		}
	}
	return MaskURL(value) != value
}

// MaskURL replaces the password in an address such as postgres://user:password@host/ by [Mask]. Any other text is returned as
// it is.
func MaskURL(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || strings.ContainsAny(scheme, " /") {
		return text
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return text
	}
	user, _, has := strings.Cut(rest[:at], ":")
	if !has {
		return text
	}
	return scheme + "://" + user + ":" + Mask + rest[at:]
}

// Masked returns a copy of c that may be shown: environment variables that look like secrets ([IsSecret]) have [Mask] as their
// value, and so has a password in the address of a database. Files are named, their content is not shown.
func (c *Config) Masked() *Config {
	out := *c
	out.Apps, out.Cache = slices.Clone(c.Apps), slices.Clone(c.Cache)
	for i := range out.Apps {
		out.Apps[i].Env = maskEnv(out.Apps[i].Env)
	}
	for i := range out.Cache {
		out.Cache[i].Env = maskEnv(out.Cache[i].Env)
		out.Cache[i].SQL.DSN = maskDSN(out.Cache[i].SQL)
	}
	return &out
}

func maskEnv(env map[string]string) map[string]string {
	out := maps.Clone(env)
	for name, value := range out {
		switch masked := MaskURL(value); {
		case masked != value:
			out[name] = masked
		case value != "" && IsSecret(name, value):
			out[name] = Mask
		}
	}
	return out
}

// maskDSN hides all of a data source name that is not a file or an address.
func maskDSN(s SQL) string {
	switch {
	case s.DSN == "" || s.Driver == "" || s.Driver == "sqlite":
		return s.DSN
	case strings.Contains(s.DSN, "://"):
		return MaskURL(s.DSN)
	}
	return Mask
}

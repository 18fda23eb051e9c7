package testtools

import (
	"net"
	"net/url"
	"testing"
	"time"
)

// The server answers while the test runs and is gone with it.
func TestS3(t *testing.T) {
	var host string
	t.Run("running", func(t *testing.T) {
		raw, key, secret := S3(t)
		u, err := url.Parse(raw)
		if err != nil || key == "" || secret == "" {
			t.Fatalf("%q, %q, %q: %v", raw, key, secret, err)
		}
		endpoint, err := url.Parse(u.Query().Get("endpoint"))
		if err != nil {
			t.Fatal(err)
		}
		host = endpoint.Host
		c, err := net.DialTimeout("tcp", host, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
	if c, err := net.DialTimeout("tcp", host, 5*time.Second); err == nil {
		c.Close()
		t.Errorf("something still listens on %s", host)
	}
}

package jdk.net;

/** Named by Iceberg's HTTP client, never used: see Sockets. */
public class ExtendedSocketOptions {
    public static final java.net.SocketOption TCP_KEEPIDLE = null;
    public static final java.net.SocketOption TCP_KEEPINTERVAL = null;
    public static final java.net.SocketOption TCP_KEEPCOUNT = null;
}

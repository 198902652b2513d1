package jdk.net;

/** Iceberg's HTTP client asks which options sockets have; the wheel's reduced JDK lacks the module: none. */
public class Sockets {
    public static java.util.Set supportedOptions(Class type) {
        return java.util.Collections.emptySet();
    }

    public static void setOption(java.net.Socket socket, java.net.SocketOption option, Object value) {
        throw new UnsupportedOperationException(String.valueOf(option));
    }
}

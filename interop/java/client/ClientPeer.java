import java.util.HashMap;
import java.util.Map;

/** Producers, consumers and queries of rocketmq-client, whichever version is on the class path. */
public final class ClientPeer {
    private ClientPeer() {
    }

    public static void main(String[] argv) throws Exception {
        Map<String, Peer.Command> commands = new HashMap<>();
        new Producers().register(commands);
        new Consumers().register(commands);
        new Queries().register(commands);
        Peer.serve(commands);
    }
}

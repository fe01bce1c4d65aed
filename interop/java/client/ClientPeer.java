import java.util.HashMap;
import java.util.Map;

/** Producers, consumers and queries of rocketmq-client, whichever version is on the class path. */
public final class ClientPeer {
    private ClientPeer() {
    }

    /** Commands that only some versions of the client know. */
    public interface Part {
        void register(Map<String, Peer.Command> commands);
    }

    public static void main(String[] argv) throws Exception {
        Map<String, Peer.Command> commands = new HashMap<>();
        new Producers().register(commands);
        new Consumers().register(commands);
        new Queries().register(commands);
        new Delays().register(commands);
        for (String part : new String[] {"LitePulls", "Transactions", "Pops", "Timers", "Wide"}) {
            try {
                ((Part) Class.forName(part).getDeclaredConstructor().newInstance()).register(commands);
            } catch (ClassNotFoundException e) {
                // A client before 4.6.0, which has no lite pull consumer and other transactions, or before 5.0.0, which does
                // not pop; see peers/java.ts.
            }
        }
        Peer.serve(commands);
    }
}
